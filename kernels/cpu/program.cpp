// SPDX-License-Identifier: Apache-2.0
#include "program.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace spikerun {

void When::check() const {
    require_range("period", period, 1, int64_t{1} << 31);
    require_range("begin", begin, 0, forever);
    require_range("end", end, begin, forever);
    require_range("first", first, 0, period - 1);
    require_range("last", last, first, period - 1);
}

namespace {

// All programs there are. A process is forked while nobody holds the locks of one: the child has copies of
// locks, but not of the threads that would open them.
class Programs {
  public:
    void add(Program& program) {
        const std::lock_guard<std::mutex> lock(mutex_);
        all_.push_back(&program);
    }
    void remove(Program& program) noexcept {
        const std::lock_guard<std::mutex> lock(mutex_);
        all_.erase(std::find(all_.begin(), all_.end(), &program));
    }
    void lock() {
        mutex_.lock();
        for (Program* const program : all_) program->lock();
    }
    void unlock() {
        for (Program* const program : all_) program->unlock();
        mutex_.unlock();
    }

  private:
    std::mutex mutex_;
    std::vector<Program*> all_;
};

Programs& programs() {
    static Programs* const all = [] {
        auto* const made = new Programs;  // never freed: forks may come to the end
#if !defined(_WIN32)
        pthread_atfork([] { programs().lock(); }, [] { programs().unlock(); }, [] { programs().unlock(); });
#endif
        return made;
    }();
    return *all;
}

}  // namespace

Program::~Program() {
    programs().remove(*this);
}

Program::Program(const std::vector<std::tuple<std::string, int64_t, int64_t>>& registers) {
    constexpr int64_t largest = 4 * max_size;
    for (const auto& [dtype, size, offset] : registers) {
        require(dtype == "int16" || dtype == "int32", "registers",
                "expected the dtype 'int16' or 'int32', got '" + dtype + "'");
        require_range("registers", size, 1, max_size);
        require_range("registers", offset, 0, largest - size);
        const Entry added{dtype == "int16", unsign(size), unsign(offset)};
        size_t& arena = added.is_words ? n_words_ : n_numbers_;
        arena = std::max(arena, added.offset + added.size);
        registers_.push_back(added);
    }
    find_remembered();
    programs().add(*this);
}

namespace {

// Fewer and longer stretches of the same memory; registers may share some, and gaps up to a cache line
// between them hold nothing.
template <class T>
std::vector<Register<T>> joined(std::vector<Register<T>> registers) {
    std::sort(registers.begin(), registers.end(),
              [](const auto& a, const auto& b) { return a.offset < b.offset; });
    std::vector<Register<T>> result;
    for (const Register<T>& r : registers) {
        constexpr size_t gap = 64 / sizeof(T);
        if (!result.empty() && r.offset <= result.back().offset + result.back().size + gap)
            result.back().size = std::max(result.back().size, r.offset + r.size - result.back().offset);
        else
            result.push_back(r);
    }
    return result;
}

}  // namespace

void Program::find_remembered() {
    remembered_words_.clear();
    remembered_numbers_.clear();
    for (const Entry& entry : registers_) {
        if (entry.anew) continue;
        if (entry.is_words)
            remembered_words_.push_back({entry.size, entry.offset});
        else
            remembered_numbers_.push_back({entry.size, entry.offset});
    }
    remembered_words_ = joined(std::move(remembered_words_));
    remembered_numbers_ = joined(std::move(remembered_numbers_));
}

void Program::anew(const std::vector<int64_t>& ids) {
    require_open("it is fixed what a run makes anew");
    for (const int64_t id : ids) {
        entry(id, "anew");
        registers_[unsign(id)].anew = true;
    }
    find_remembered();
}

const Program::Entry& Program::entry(int64_t id, const char* argument) const {
    if (id < 0 || id >= static_cast<int64_t>(registers_.size()))
        throw std::out_of_range(std::string(argument) + ": there are " + std::to_string(registers_.size()) +
                                " registers, got " + text(id));
    return registers_[unsign(id)];
}

bool Program::is_words(int64_t id, const char* argument) const {
    return entry(id, argument).is_words;
}

Words Program::words(int64_t id, const char* argument) const {
    const Entry& found = entry(id, argument);
    require(found.is_words, argument, "register " + text(id) + " is int32, expected int16");
    return {found.size, found.offset, found.place};
}

Numbers Program::numbers(int64_t id, const char* argument) const {
    const Entry& found = entry(id, argument);
    require(!found.is_words, argument, "register " + text(id) + " is int16, expected int32");
    return {found.size, found.offset, found.place};
}

void Program::require_open(const char* what) const {
    if (sealed_) throw std::runtime_error(std::string("the program has a workspace already: ") + what);
}

void Program::require_tiles(int64_t id, const char* argument) const {
    const Entry& own = entry(id, argument);
    const size_t end = (own.offset + own.size + Marks::tile - 1) / Marks::tile * Marks::tile;
    require(own.offset % Marks::tile == 0, argument, "must begin a tile of 16 elements");
    for (const Entry& other : registers_) {
        const bool apart = other.offset >= end || other.offset + other.size <= own.offset;
        require(&other == &own || other.is_words != own.is_words || apart, argument,
                "shares tiles of 16 elements with another register");
    }
}

void Program::track(const std::vector<int64_t>& ids) {
    require_open("it is fixed what is tracked");
    require(operations_.empty(), "track", "operations were appended that set no marks");
    for (const int64_t id : ids) {
        require_tiles(id, "track");
        const Entry& found = entry(id, "track");
        if (found.place != Words::untracked) continue;
        registers_[unsign(id)].place = tracked_.size();
        tracked_.push_back(found.size);
    }
}

size_t Program::new_lazy(size_t n, bool restless, bool drift, Settle settle) {
    lazy_.push_back({n, restless, drift, std::move(settle)});
    return lazy_.size() - 1;
}

int64_t Program::idle(Workspace& ws) const {
    int64_t passes = forever;
    for (const Operation& one : operations_) {
        if (passes == 0) break;
        passes = std::min(passes, one.idle ? one.idle(ws) : 0);
    }
    return passes;
}

void Program::settle(Workspace& ws) const {
    for (size_t k = 0; k < lazy_.size(); ++k) lazy_[k].settle(ws, ws.lazy[k]);
}

void Program::wake(Workspace& ws) const {
    for (Lazy& lazy : ws.lazy) {
        lazy.awake.add_all();
        lazy.forget(ws.t);
    }
    for (Marks& marks : ws.marks) marks.add_all();
}

void Program::append(When when, Action action) {
    append(when, 1,
           [action = std::move(action)](Workspace& ws, int64_t t, Share, Scratch&) { action(ws, t); });
}

void Program::append(When when, size_t parts, SharedAction action) {
    require_open("nothing more can be appended");
    when.check();
    operations_.push_back({when, parts, std::move(action), nullptr});
    pace_.resize(operations_.size());
}

void Program::need(const ScratchSize& size) {
    scratch_ = {std::max(scratch_.events, size.events), std::max(scratch_.lists, size.lists),
                std::max(scratch_.patch, size.patch),   std::max(scratch_.words, size.words),
                std::max(scratch_.sums, size.sums),     std::max(scratch_.places, size.places)};
}

void Program::need_slot(int64_t slot) {
    n_slots_ = std::max(n_slots_, unsign(slot) + 1);
}

void Program::initial(Words r, std::vector<int16_t> values) {
    require_open("initial values are fixed");
    initial_words_.emplace_back(r, std::move(values));
}

void Program::initial(Numbers r, std::vector<int32_t> values) {
    require_open("initial values are fixed");
    initial_numbers_.emplace_back(r, std::move(values));
}

std::unique_ptr<Workspace> Program::workspace() {
    sealed_ = true;
    auto result = std::make_unique<Workspace>();
    constexpr size_t whole = Marks::tile;  // the last tile is whole, too
    result->words.resize((n_words_ + whole - 1) / whole * whole);
    result->numbers.resize((n_numbers_ + whole - 1) / whole * whole);
    result->counters = std::vector<std::atomic<int64_t>>(2 * n_slots_);
    result->passed.resize(n_passed_);
    result->marks.resize(tracked_.size());
    for (size_t k = 0; k < tracked_.size(); ++k) result->marks[k].resize(tracked_[k]);
    result->lazy.resize(lazy_.size());
    for (size_t k = 0; k < lazy_.size(); ++k) {
        result->lazy[k].awake.resize(lazy_[k].n);
        const size_t tiles = result->lazy[k].awake.tiles();
        result->lazy[k].next.resize(tiles);
        if (!lazy_[k].drift) continue;
        result->lazy[k].due.resize(tiles);
        result->lazy[k].first.resize((tiles + 63) / 64);
    }
    equip(*result, 1);
    reset(*result);
    return result;
}

void Program::reset(Workspace& ws) const noexcept {
    std::fill(ws.words.begin(), ws.words.end(), int16_t{0});
    std::fill(ws.numbers.begin(), ws.numbers.end(), 0);
    begin(ws);
}

void Program::restart(Workspace& ws) const noexcept {
    for (const Words& r : remembered_words_) std::fill_n(r.in(ws), r.size, int16_t{0});
    for (const Numbers& r : remembered_numbers_) std::fill_n(r.in(ws), r.size, 0);
    begin(ws);
}

void Program::begin(Workspace& ws) const noexcept {
    for (const auto& [r, values] : initial_words_) std::copy(values.begin(), values.end(), r.in(ws));
    for (const auto& [r, values] : initial_numbers_) std::copy(values.begin(), values.end(), r.in(ws));
    for (auto& counter : ws.counters) counter.store(0, std::memory_order_relaxed);
    ws.t = 0;
    ws.decided = false;
    for (Marks& marks : ws.marks) marks.clear();
    for (size_t k = 0; k < lazy_.size(); ++k) {
        Lazy& lazy = ws.lazy[k];
        lazy.awake.clear();
        if (lazy_[k].restless) lazy.awake.add_all();
        lazy.forget(0);
    }
}

void Program::equip(Workspace& ws, size_t threads) const {
    if (ws.scratch.size() >= threads) return;
    ws.scratch.resize(threads);
    for (Scratch& scratch : ws.scratch) scratch.grow(scratch_);
}

void Program::step(Workspace& ws) const noexcept {
    for (const Operation& operation : operations_)
        if (operation.when.includes(ws.t)) operation.action(ws, ws.t, {}, ws.scratch[0]);
    ++ws.t;
}

namespace {

// Into how many parts an operation is taken that lasts so many nanoseconds: to hand one to another thread
// takes a few hundred. Of what takes long there are more parts than threads, since not all take equally long.
size_t parts_of(size_t most, int64_t nanoseconds, size_t threads) noexcept {
    constexpr size_t least = 1500;
    if (threads == 1) return 1;
    const size_t worth = unsign(nanoseconds) / least;
    return std::min({most, worth, worth >= 8 * threads ? 2 * threads : threads, size_t{Crew::most_parts}});
}

}  // namespace

void Program::step(Workspace& ws, Crew& crew) const noexcept {
    for (size_t k = 0; k < operations_.size(); ++k) {
        const Operation& operation = operations_[k];
        if (!operation.when.includes(ws.t)) continue;
        const size_t parts = parts_of(operation.parts, pace_.time(k), crew.threads());
        if (parts <= 1)
            operation.action(ws, ws.t, {}, ws.scratch[0]);
        else
            crew.share(parts, [&](size_t part, size_t worker) {
                operation.action(ws, ws.t, {part, parts}, ws.scratch[worker]);
            });
    }
    ++ws.t;
}

void Program::step_in_parts(Workspace& ws, size_t parts) const noexcept {
    for (const Operation& operation : operations_) {
        const size_t count = std::min(parts, operation.parts);
        for (size_t part = count; operation.when.includes(ws.t) && part-- > 0;)
            operation.action(ws, ws.t, {part, count}, ws.scratch[0]);
    }
    ++ws.t;
}

void Program::timed_step(Workspace& ws, std::vector<Timed>& times) const noexcept {
    using std::chrono::steady_clock;
    auto begin = steady_clock::now();
    for (size_t k = 0; k < operations_.size(); ++k) {
        if (!operations_[k].when.includes(ws.t)) continue;
        operations_[k].action(ws, ws.t, {}, ws.scratch[0]);
        const auto end = steady_clock::now();
        times[k].nanoseconds += std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count();
        ++times[k].executions;
        begin = end;
    }
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

std::vector<Passed> Program::passed() {
    std::vector<Passed> total(n_passed_);
    const std::lock_guard<std::mutex> lock(idle_mutex_);
    for (const auto& workspace : idle_) {
        for (size_t k = 0; k < n_passed_; ++k) {
            const Passed& one = workspace->passed[k];
            total[k] = {total[k].runs + one.runs, total[k].event + one.event, total[k].looked + one.looked,
                        total[k].active + one.active};
        }
    }
    return total;
}

}  // namespace spikerun
