// A program: operations on registers, executed step by step without a return to Python.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "linear.hpp"
#include "maxpool.hpp"
#include "neurons.hpp"

namespace spikerun {

// Later than any step.
constexpr int64_t forever = int64_t{1} << 62;

// When an operation executes: at steps begin <= t < end with first <= t % period <= last.
struct When {
    int64_t period, begin, first, last, end;
    bool includes(int64_t t) const {
        const int64_t r = t % period;
        return t >= begin && t < end && r >= first && r <= last;
    }
};

// The state of one sample. Registers of words hold spikes and words, registers of accumulators currents and
// membranes.
struct Workspace {
    std::vector<std::vector<int16_t>> words;
    std::vector<std::vector<int32_t>> accs;
    std::vector<int64_t> counters;  // [slot][2]
    Scratch scratch;
    int64_t t = 0;
    std::atomic<bool> busy{false};
};

// An array from the caller, one per neuron.
using Values = std::vector<int32_t>;

struct LifNeurons {
    Values threshold, bias, du, dv;
    Reset reset;
    int64_t refractory, reset_interval, reset_offset;
};

// The registers of a LIF population.
struct LifRegisters {
    int64_t i, u, v, wait, pending, s;
};

class Program {
  public:
    Program(const std::vector<int64_t>& words, const std::vector<int64_t>& accs);

    // Each appends one operation; the names are those of the Python class.
    void fill(int64_t acc, Values bias, When when);
    void linear(LinearPointer map, int64_t x, int64_t acc, int64_t cut, When when);
    void fire(int64_t acc, int64_t word, Values threshold, WordRule rule, When when);
    void latch(int64_t v, int64_t u, int64_t left, int64_t limit, When when);
    void send(int64_t u, int64_t left, Values threshold, int64_t s, Values significance, When when);
    void weigh(int64_t x, int64_t y, Values significance, When when);
    void delay(int64_t x, int64_t ring, int64_t y, int64_t steps, When when);
    void if_step(int64_t i, int64_t v, int64_t s, Values threshold, Values bias, Values v_min, Reset reset,
                 When when);
    void lif_step(const LifRegisters& registers, LifNeurons neurons, When when);
    void max_pool(int64_t x, int64_t y, const Geometry& geometry, When when);
    void max_pool_step(int64_t x, int64_t alive, int64_t y, const Geometry& geometry, int64_t restart_at,
                       int64_t sign_at, When when);
    void count(int64_t word, Values fan_out, bool popcount, int64_t bits, int64_t slot, When when);

    // The content of an accumulator register at t = 0, instead of zeros.
    void initial(int64_t acc, Values values);

    // Nothing can be appended any more; the first workspace seals its program.
    void seal() noexcept { sealed_ = true; }
    std::unique_ptr<Workspace> workspace();
    // Back to t = 0, zeros and initial values.
    void reset(Workspace& workspace) const noexcept;
    // Executes the operations of step workspace.t, and goes on to the next.
    void step(Workspace& workspace) const noexcept;

    size_t n_words() const { return words_.size(); }
    size_t n_accs() const { return accs_.size(); }
    size_t word_size(int64_t index, const char* argument = "word") const;
    size_t acc_size(int64_t index, const char* argument = "acc") const;
    size_t n_slots() const { return n_slots_; }

    // Workspaces of finished runs, kept for the next one.
    std::unique_ptr<Workspace> borrow();
    void give_back(std::unique_ptr<Workspace> workspace);

    std::atomic<int64_t> done{0};  // samples of the current or last batch that are finished

  private:
    using Action = std::function<void(Workspace&, int64_t t)>;
    struct Operation {
        When when;
        Action action;
    };

    void append(When when, Action action);
    void require_same(size_t expected, size_t got, const char* argument) const;

    std::vector<size_t> words_, accs_;
    std::vector<Operation> operations_;
    std::vector<std::pair<size_t, Values>> initial_;
    size_t n_slots_ = 0;
    ScratchSize scratch_;
    std::atomic<bool> sealed_{false};
    std::mutex idle_mutex_;
    std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace spikerun
