#include "program.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace spikerun {

namespace {

std::string text(int64_t value) {
    return std::to_string(value);
}

void require_range(const char* argument, int64_t value, int64_t low, int64_t high) {
    require(value >= low && value <= high, argument,
            "expected " + text(low) + ".." + text(high) + ", got " + text(value));
}

void require_values(const char* argument, const Values& values, int64_t low, int64_t high) {
    for (const int32_t value : values) require_range(argument, value, low, high);
}

std::vector<size_t> checked_sizes(const char* argument, const std::vector<int64_t>& sizes) {
    int64_t total = 0;
    std::vector<size_t> result;
    for (const int64_t size : sizes) {
        require_range(argument, size, 1, max_size);
        total += size;
        require(total <= 4 * max_size, argument, "the registers are larger than 2^30 elements together");
        result.push_back(static_cast<size_t>(size));
    }
    return result;
}

size_t register_size(const char* argument, const char* kind, const std::vector<size_t>& sizes,
                     int64_t index) {
    if (index < 0 || index >= static_cast<int64_t>(sizes.size()))
        throw std::out_of_range(std::string(argument) + ": there are " + std::to_string(sizes.size()) + " " +
                                kind + " registers, got index " + text(index));
    return sizes[static_cast<size_t>(index)];
}

void require_distinct(const char* argument, int64_t a, int64_t b) {
    require(a != b, argument, "the same register as another operand");
}

void check_rule(WordRule rule) {
    require_range("bits", rule.bits, 1, rule.is_signed ? 16 : 15);
    require_range("max_spikes", rule.max_spikes, 0, 16);
}

void check_when(When when) {
    constexpr int64_t limit = int64_t{1} << 31;
    require_range("period", when.period, 1, limit);
    require_range("begin", when.begin, 0, limit);
    require_range("first", when.first, 0, when.period - 1);
    require_range("last", when.last, when.first, when.period - 1);
    require_range("end", when.end, when.begin, forever);
}

constexpr int32_t int32_max = std::numeric_limits<int32_t>::max();

// Short names for the registers of a workspace.
int16_t* word_of(Workspace& ws, int64_t index) {
    return ws.words[static_cast<size_t>(index)].data();
}
int32_t* acc_of(Workspace& ws, int64_t index) {
    return ws.accs[static_cast<size_t>(index)].data();
}

}  // namespace

Program::Program(const std::vector<int64_t>& words, const std::vector<int64_t>& accs)
    : words_(checked_sizes("words", words)), accs_(checked_sizes("accs", accs)) {}

size_t Program::word_size(int64_t index, const char* argument) const {
    return register_size(argument, "word", words_, index);
}

size_t Program::acc_size(int64_t index, const char* argument) const {
    return register_size(argument, "accumulator", accs_, index);
}

void Program::require_same(size_t expected, size_t got, const char* argument) const {
    require(expected == got, argument,
            "expected " + std::to_string(expected) + " elements, got " + std::to_string(got));
}

void Program::append(When when, Action action) {
    if (sealed_)
        throw std::runtime_error("the program has a workspace already: nothing more can be appended");
    check_when(when);
    operations_.push_back({when, std::move(action)});
}

void Program::fill(int64_t acc, Values bias, When when) {
    require_same(acc_size(acc), bias.size(), "bias");
    append(when, [acc, bias = std::move(bias)](Workspace& ws, int64_t) {
        std::copy(bias.begin(), bias.end(), acc_of(ws, acc));
    });
}

void Program::linear(LinearPointer map, int64_t x, int64_t acc, int64_t cut, When when) {
    require(map != nullptr, "linear", "is None");
    const size_t n = word_size(x, "x");
    require_same(map->n_in(), n, "x");
    require_same(map->n_out(), acc_size(acc), "acc");
    require_range("cut", cut, 0, std::numeric_limits<int64_t>::max());
    const ScratchSize size = map->scratch_size();
    const auto limit = static_cast<size_t>(cut);
    append(when, [map = std::move(map), x, acc, n, limit](Workspace& ws, int64_t) {
        const int16_t* const source = word_of(ws, x);
        if (limit >= n || count_nonzero(source, n) <= limit)
            map->apply_event(source, acc_of(ws, acc), ws.scratch);
        else
            map->apply_dense(source, acc_of(ws, acc), ws.scratch);
    });
    scratch_ = {std::max(scratch_.events, size.events), std::max(scratch_.lists, size.lists),
                std::max(scratch_.patch, size.patch)};
}

void Program::fire(int64_t acc, int64_t word, Values threshold, WordRule rule, When when) {
    const size_t n = acc_size(acc);
    require_same(n, word_size(word), "word");
    require_same(n, threshold.size(), "threshold");
    require_values("threshold", threshold, 1, int32_max);
    check_rule(rule);
    append(when, [=, threshold = std::move(threshold)](Workspace& ws, int64_t) {
        spikerun::fire(acc_of(ws, acc), word_of(ws, word), threshold.data(), n, rule);
    });
}

void Program::latch(int64_t v, int64_t u, int64_t left, int64_t limit, When when) {
    const size_t n = acc_size(v, "v");
    require_same(n, acc_size(u, "u"), "u");
    require_same(n, word_size(left, "left"), "left");
    require_distinct("u", v, u);
    require_range("limit", limit, 0, std::numeric_limits<int16_t>::max());
    append(when, [=](Workspace& ws, int64_t) {
        std::copy_n(acc_of(ws, v), n, acc_of(ws, u));
        std::fill_n(word_of(ws, left), n, static_cast<int16_t>(limit));
    });
}

void Program::send(int64_t u, int64_t left, Values threshold, int64_t s, Values significance, When when) {
    const size_t n = acc_size(u, "u");
    require_same(n, word_size(left, "left"), "left");
    require_same(n, word_size(s, "s"), "s");
    require_distinct("s", left, s);
    require_same(n, threshold.size(), "threshold");
    require_values("threshold", threshold, 1, int32_max);
    check_when(when);
    require_same(static_cast<size_t>(when.period), significance.size(), "significance");
    const int64_t largest = *std::max_element(threshold.begin(), threshold.end());
    for (const int64_t g : significance)
        require(largest * (g < 0 ? -g : g) <= int32_max, "significance",
                "times threshold does not fit int32");
    append(when, [=, threshold = std::move(threshold), significance = std::move(significance)](Workspace& ws,
                                                                                               int64_t t) {
        const auto r = static_cast<size_t>(t % when.period);
        spikerun::send(acc_of(ws, u), word_of(ws, left), threshold.data(), word_of(ws, s), n,
                       significance[r]);
    });
}

void Program::weigh(int64_t x, int64_t y, Values significance, When when) {
    const size_t n = word_size(x, "x");
    require_same(n, word_size(y, "y"), "y");
    check_when(when);
    require_same(static_cast<size_t>(when.period), significance.size(), "significance");
    require_values("significance", significance, -32768, 32767);
    append(when, [=, significance = std::move(significance)](Workspace& ws, int64_t t) {
        spikerun::weigh(word_of(ws, x), word_of(ws, y), n,
                        significance[static_cast<size_t>(t % when.period)]);
    });
}

void Program::delay(int64_t x, int64_t ring, int64_t y, int64_t steps, When when) {
    const size_t n = word_size(x, "x");
    require_same(n, word_size(y, "y"), "y");
    require_range("steps", steps, 1, max_size);
    require_same(n * static_cast<size_t>(steps), word_size(ring, "ring"), "ring");
    require_distinct("ring", x, ring);
    require_distinct("ring", y, ring);
    check_when(when);
    require(when.first == 0 && when.last == when.period - 1, "first", "a delay executes at every step");
    append(when, [=](Workspace& ws, int64_t t) {
        int16_t* const slot = word_of(ws, ring) + static_cast<size_t>((t - when.begin) % steps) * n;
        const int16_t* const now = word_of(ws, x);
        int16_t* const then = word_of(ws, y);
        for (size_t j = 0; j < n; ++j) {
            const int16_t late = slot[j];
            slot[j] = now[j];
            then[j] = late;
        }
    });
}

void Program::if_step(int64_t i, int64_t v, int64_t s, Values threshold, Values bias, Values v_min,
                      Reset reset, When when) {
    const size_t n = acc_size(i, "i");
    require_same(n, acc_size(v, "v"), "v");
    require_same(n, word_size(s, "s"), "s");
    require_distinct("v", i, v);
    require_same(n, threshold.size(), "threshold");
    require_same(n, bias.size(), "bias");
    require_same(n, v_min.size(), "v_min");
    require_values("threshold", threshold, 1, int32_max);
    require(reset != Reset::subtract_after_leak, "reset", "expected 'subtract' or 'zero'");
    append(when, [=, threshold = std::move(threshold), bias = std::move(bias), v_min = std::move(v_min)](
                     Workspace& ws, int64_t) {
        spikerun::if_step(acc_of(ws, i), acc_of(ws, v), word_of(ws, s), threshold.data(), bias.data(),
                          v_min.data(), n, reset);
    });
}

void Program::lif_step(const LifRegisters& registers, LifNeurons neurons, When when) {
    const LifRegisters& q = registers;
    const size_t n = acc_size(q.i, "i");
    require_same(n, acc_size(q.u, "u"), "u");
    require_same(n, acc_size(q.v, "v"), "v");
    require_same(n, acc_size(q.wait, "wait"), "wait");
    require_same(n, word_size(q.pending, "pending"), "pending");
    require_same(n, word_size(q.s, "s"), "s");
    require_distinct("s", q.pending, q.s);
    const std::array<int64_t, 4> accs{q.i, q.u, q.v, q.wait};
    for (size_t a = 0; a < accs.size(); ++a)
        for (size_t b = 0; b < a; ++b) require_distinct("i, u, v, wait", accs[a], accs[b]);
    require_same(n, neurons.threshold.size(), "threshold");
    require_same(n, neurons.bias.size(), "bias");
    require_same(n, neurons.du.size(), "du");
    require_same(n, neurons.dv.size(), "dv");
    require_values("threshold", neurons.threshold, 0, (1 << 17) - 1);
    require_values("du", neurons.du, 0, 4096);
    require_values("dv", neurons.dv, 0, 4096);
    require_range("refractory", neurons.refractory, 0, int32_max);
    require_range("reset_interval", neurons.reset_interval, 0, int32_max);
    require_range("reset_offset", neurons.reset_offset, 0, int32_max);
    append(when, [q, n, p = std::move(neurons)](Workspace& ws, int64_t t) {
        const LifState state{acc_of(ws, q.u), acc_of(ws, q.v), acc_of(ws, q.wait), word_of(ws, q.pending)};
        if (p.reset_interval != 0 && t % p.reset_interval == p.reset_offset % p.reset_interval) {
            std::fill_n(state.u, n, 0);
            std::fill_n(state.v, n, 0);
            std::fill_n(state.wait, n, 0);
            std::fill_n(state.pending, n, int16_t{0});
        }
        const LifParameters parameters{p.threshold.data(), p.bias.data(), p.du.data(),
                                       p.dv.data(),        p.reset,       static_cast<int32_t>(p.refractory)};
        spikerun::lif_step(acc_of(ws, q.i), state, word_of(ws, q.s), parameters, n);
    });
}

void Program::max_pool(int64_t x, int64_t y, const Geometry& geometry, When when) {
    MaxPool pool(geometry);
    require_same(pool.n_in(), word_size(x, "x"), "x");
    require_same(pool.n_out(), word_size(y, "y"), "y");
    require_distinct("y", x, y);
    append(when, [=, pool = std::move(pool)](Workspace& ws, int64_t) {
        pool.apply(word_of(ws, x), word_of(ws, y));
    });
}

void Program::max_pool_step(int64_t x, int64_t alive, int64_t y, const Geometry& geometry, int64_t restart_at,
                            int64_t sign_at, When when) {
    MaxPool pool(geometry);
    require_same(pool.n_in(), word_size(x, "x"), "x");
    require_same(pool.n_out(), word_size(y, "y"), "y");
    require_same(pool.n_candidates(), word_size(alive, "alive"), "alive");
    require_distinct("y", x, y);
    require_distinct("alive", x, alive);
    require_distinct("alive", y, alive);
    check_when(when);
    require_range("restart_at", restart_at, 0, when.period - 1);
    require_range("sign_at", sign_at, -1, when.period - 1);
    append(when, [=, pool = std::move(pool)](Workspace& ws, int64_t t) {
        const int64_t r = t % when.period;
        pool.step(word_of(ws, x), word_of(ws, alive), word_of(ws, y), {r == restart_at, r == sign_at});
    });
}

void Program::count(int64_t word, Values fan_out, bool popcount, int64_t bits, int64_t slot, When when) {
    const size_t n = word_size(word);
    require_same(n, fan_out.size(), "fan_out");
    require_range("bits", bits, 1, 16);
    require_range("slot", slot, 0, 1 << 20);
    append(when, [=, fan_out = std::move(fan_out)](Workspace& ws, int64_t) {
        count_spikes(word_of(ws, word), fan_out.data(), n, popcount, static_cast<int>(bits),
                     &ws.counters[2 * static_cast<size_t>(slot)]);
    });
    n_slots_ = std::max(n_slots_, static_cast<size_t>(slot) + 1);
}

void Program::initial(int64_t acc, Values values) {
    require_same(acc_size(acc), values.size(), "values");
    if (sealed_) throw std::runtime_error("the program has a workspace already: initial values are fixed");
    initial_.emplace_back(static_cast<size_t>(acc), std::move(values));
}

std::unique_ptr<Workspace> Program::workspace() {
    seal();
    auto result = std::make_unique<Workspace>();
    for (const size_t size : words_) result->words.emplace_back(size);
    for (const size_t size : accs_) result->accs.emplace_back(size);
    result->counters.resize(2 * n_slots_);
    result->scratch.grow(scratch_);
    reset(*result);
    return result;
}

void Program::reset(Workspace& ws) const noexcept {
    for (auto& word : ws.words) std::fill(word.begin(), word.end(), int16_t{0});
    for (auto& acc : ws.accs) std::fill(acc.begin(), acc.end(), 0);
    for (const auto& [index, values] : initial_)
        std::copy(values.begin(), values.end(), ws.accs[index].begin());
    std::fill(ws.counters.begin(), ws.counters.end(), int64_t{0});
    ws.t = 0;
}

void Program::step(Workspace& ws) const noexcept {
    for (const Operation& operation : operations_)
        if (operation.when.includes(ws.t)) operation.action(ws, ws.t);
    ++ws.t;
}

std::unique_ptr<Workspace> Program::borrow() {
    {
        const std::lock_guard<std::mutex> lock(idle_mutex_);
        if (!idle_.empty()) {
            auto result = std::move(idle_.back());
            idle_.pop_back();
            return result;
        }
    }
    return workspace();
}

void Program::give_back(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard<std::mutex> lock(idle_mutex_);
    idle_.push_back(std::move(workspace));
}

}  // namespace spikerun
