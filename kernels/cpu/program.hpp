// SPDX-License-Identifier: Apache-2.0
// A program: operations on registers, executed pass by pass without a return to Python.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "crew.hpp"
#include "linear.hpp"
#include "marks.hpp"
#include "pace.hpp"

namespace spikerun {

// Later than any pass.
constexpr int64_t forever = int64_t{1} << 62;

// When an operation executes: at passes begin <= t < end with first <= t % period <= last.
struct When {
    int64_t period, begin, end, first, last;

    bool includes(int64_t t) const noexcept {
        if (t < begin || t >= end) return false;
        if (last - first == period - 1) return true;
        const int64_t r = t % period;
        return r >= first && r <= last;
    }
    void check() const;
};

// What has passed through a map: runs, and how many of them by event; active inputs, in the runs where they
// were counted.
struct Passed {
    int64_t runs = 0, event = 0, looked = 0, active = 0;

    void add(bool by_event, bool counted, size_t inputs) noexcept {
        ++runs;
        event += by_event;
        looked += counted;
        active += static_cast<int64_t>(inputs);
    }
};

// Neurons that are updated only where a current arrives: tiles that would do anything without one are awake,
// and updated in each pass; the others have been as far as `next`, and what they have missed is made up for
// when it matters.
struct Lazy {
    Arena<uint32_t> next;  // of each tile, the first pass that it has not seen, modulo 2^32
    Marks awake;
    Arena<uint32_t> due;  // of each tile, a pass before which no neuron fires by itself; none: they never do
    Arena<uint32_t> first;  // of each 64 of these, the least
    bool stepped = false;   // since it was brought up to date

    // As far ahead as passes are told from past ones.
    static constexpr uint32_t horizon = uint32_t{1} << 29;
    void forget(int64_t t) {
        std::fill(next.begin(), next.end(), static_cast<uint32_t>(t));
        std::fill(due.begin(), due.end(), static_cast<uint32_t>(t) + horizon);
        std::fill(first.begin(), first.end(), static_cast<uint32_t>(t) + horizon);
        stepped = false;
    }
};

// The state of one sample: the arenas that its registers lie in, and what else changes.
struct Workspace {
    Arena<int16_t> words;                        // words, spikes and payloads
    Arena<int32_t> numbers;                      // currents, membranes and other state
    std::vector<std::atomic<int64_t>> counters;  // [slot][2]
    std::vector<Scratch> scratch;                // one for each thread
    std::vector<Passed> passed;                  // of each map; no run clears it
    std::vector<Marks> marks;                    // of each tracked register
    std::vector<Lazy> lazy;                      // of each operation that updates neurons lazily
    int64_t t = 0;                               // the next pass
    bool decided = false;                        // no pass is to follow
    std::atomic<bool> busy{false};

    // Threads count at the same time.
    void count(size_t slot, int64_t spikes, int64_t operations) noexcept {
        counters[2 * slot].fetch_add(spikes, std::memory_order_relaxed);
        counters[2 * slot + 1].fetch_add(operations, std::memory_order_relaxed);
    }

    template <class T>
    T* arena() noexcept {
        if constexpr (sizeof(T) == 2)
            return words.data();
        else
            return numbers.data();
    }
};

// A register of T: its place in the arena of that type. A tracked register has marks, which tell where it may
// be anything but zero: whatever writes it sets them.
template <class T>
struct Register {
    static constexpr size_t untracked = ~size_t{0};
    size_t size, offset, place = untracked;
    T* in(Workspace& ws) const noexcept { return ws.arena<T>() + offset; }
    bool tracked() const noexcept { return place != untracked; }
    Marks& marks(Workspace& ws) const noexcept { return ws.marks[place]; }
    const Marks& marks(const Workspace& ws) const noexcept { return ws.marks[place]; }
    bool overlaps(const Register& other) const noexcept {
        return offset < other.offset + other.size && other.offset < offset + size;
    }
};

using Words = Register<int16_t>;
using Numbers = Register<int32_t>;

class Program {
  public:
    using Action = std::function<void(Workspace&, int64_t t)>;
    using SharedAction = std::function<void(Workspace&, int64_t t, Share, Scratch&)>;
    // For how many passes an operation would change nothing, from the next one on.
    using Idle = std::function<int64_t(Workspace&)>;
    using Settle = std::function<void(Workspace&, Lazy&)>;

    // For each register, whose id is its position: "int16" or "int32", its size, its offset in the arena.
    explicit Program(const std::vector<std::tuple<std::string, int64_t, int64_t>>& registers);
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    // The register of an argument; throws if there is none of that id and type.
    Words words(int64_t id, const char* argument) const;
    Numbers numbers(int64_t id, const char* argument) const;
    bool is_words(int64_t id, const char* argument) const;

    // Appends an operation. Nothing can be appended any more once there is a workspace.
    void append(When when, Action action);
    // The same; threads may share it, in up to so many parts.
    void append(When when, size_t parts, SharedAction action);
    // The same for what is done with each of n elements: action(ws, t, first element, how many), tile by
    // tile.
    template <class OfTile>
    void append_tiles(When when, size_t n, size_t tile, OfTile action) {
        append(when, (n + tile - 1) / tile,
               [n, tile, action = std::move(action)](Workspace& ws, int64_t t, Share share, Scratch&) {
                   const Span all = share.of(n, tile);
                   for (size_t j = all.begin; j < all.end; j += tile)
                       action(ws, t, j, std::min(tile, all.end - j));
               });
    }
    // Operations will need as much memory beside the registers.
    void need(const ScratchSize& size);
    void need_slot(int64_t slot);
    // A place in `Workspace::passed`.
    size_t new_passed() { return n_passed_++; }
    // These registers have marks from now on; operations that write them set these (`Register`).
    void track(const std::vector<int64_t>& ids);
    bool tracks() const noexcept { return !tracked_.empty(); }
    // Throws unless the tiles of a register hold nothing else: kernels touch whole ones.
    void require_tiles(int64_t id, const char* argument) const;
    // The last operation that was appended tells when it is idle.
    void idle(Idle idle) { operations_.back().idle = std::move(idle); }
    // For how many passes no operation would change anything, from the next one on, as long as no event
    // arrives.
    int64_t idle(Workspace& ws) const;
    // A place in `Workspace::lazy` for the operation that is appended next, on n neurons that begin at rest
    // unless `restless`, and may fire by themselves if they drift. settle: brings them up to pass ws.t.
    size_t new_lazy(size_t n, bool restless, bool drift, Settle settle);
    // Brings all neurons up to the present; without, their registers are behind.
    void settle(Workspace& ws) const;
    // Registers were written from outside, or the time was: nothing is known of what is at rest any more.
    void wake(Workspace& ws) const;
    // What these registers hold before a run never matters: nothing reads them before it has written all of
    // them. `restart` leaves them as they are.
    void anew(const std::vector<int64_t>& ids);
    // What a register holds before pass 0, instead of zeros.
    void initial(Words r, std::vector<int16_t> values);
    void initial(Numbers r, std::vector<int32_t> values);

    std::unique_ptr<Workspace> workspace();
    // Back to t = 0, zeros and initial values.
    void reset(Workspace& ws) const noexcept;
    // The same for a run, to which not all registers matter.
    void restart(Workspace& ws) const noexcept;
    // Executes the operations of pass ws.t, and goes on to the next.
    void step(Workspace& ws) const noexcept;
    // The same with others, where an operation takes long enough. The workspace must be equipped for them.
    void step(Workspace& ws, Crew& crew) const noexcept;
    void equip(Workspace& ws, size_t threads) const;
    // The same by this thread, operations taken into up to so many parts, the last of which comes first.
    void step_in_parts(Workspace& ws, size_t parts) const noexcept;
    // The same as the first; what each operation takes is added to `times`, which has room for all.
    void timed_step(Workspace& ws, std::vector<Timed>& times) const noexcept;
    size_t n_operations() const noexcept { return operations_.size(); }

    size_t n_slots() const noexcept { return n_slots_; }

    // How its runs go.
    Pace& pace() noexcept { return pace_; }
    // Around a fork: no other thread is in the midst of what these guard.
    void lock() {
        idle_mutex_.lock();
        pace_.lock();
    }
    void unlock() {
        pace_.unlock();
        idle_mutex_.unlock();
    }

    // Workspaces of finished runs, kept for the next one.
    std::unique_ptr<Workspace> borrow();
    void give_back(std::unique_ptr<Workspace> workspace);
    // Of all finished runs.
    std::vector<Passed> passed();

  private:
    struct Entry {
        bool is_words;
        size_t size, offset;
        bool anew = false;
        size_t place = Words::untracked;
    };
    struct Operation {
        When when;
        size_t parts;
        SharedAction action;
        Idle idle = nullptr;
    };
    struct LazyOf {
        size_t n;
        bool restless, drift;
        Settle settle;
    };
    const Entry& entry(int64_t id, const char* argument) const;
    void begin(Workspace& ws) const noexcept;
    void find_remembered();
    void require_open(const char* what) const;

    std::vector<Entry> registers_;
    size_t n_words_ = 0, n_numbers_ = 0;  // of the arenas
    // What `restart` clears: the memory of registers that are not made anew.
    std::vector<Words> remembered_words_;
    std::vector<Numbers> remembered_numbers_;
    std::vector<Operation> operations_;
    std::vector<std::pair<Words, std::vector<int16_t>>> initial_words_;
    std::vector<std::pair<Numbers, std::vector<int32_t>>> initial_numbers_;
    size_t n_slots_ = 0, n_passed_ = 0;
    std::vector<size_t> tracked_;  // sizes
    std::vector<LazyOf> lazy_;
    ScratchSize scratch_;
    std::atomic<bool> sealed_{false};
    Pace pace_;
    std::mutex idle_mutex_;
    std::vector<std::unique_ptr<Workspace>> idle_;
};

// Throws where two operands of an operation share memory.
template <class T>
void require_apart(const char* argument, std::initializer_list<Register<T>> operands) {
    for (auto a = operands.begin(); a != operands.end(); ++a)
        for (auto b = operands.begin(); b != a; ++b)
            require(!a->overlaps(*b), argument, "shares memory with another operand");
}

}  // namespace spikerun
