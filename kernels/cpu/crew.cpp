// SPDX-License-Identifier: Apache-2.0
#include "crew.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#if !defined(_WIN32)
#include <pthread.h>
#include <sched.h>
#endif

namespace spikerun {

namespace {

using std::chrono::steady_clock;

// How long a thread looks for work before it sleeps, and for the end of the others' work before it lets them
// run.
constexpr auto patience = std::chrono::microseconds(100), short_patience = std::chrono::microseconds(10);
// To wait longer than this, and longer than the own work took, is a stall.
constexpr auto stall = std::chrono::microseconds(500);
constexpr int looks = 32;  // between two looks at the clock

inline void pause() noexcept {
#if defined(__GNUC__) && defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__GNUC__) && defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Looks until `found`, or `longest` is over; returns what it saw last.
template <class Found>
bool look(Found found, steady_clock::duration longest) noexcept {
    const auto end = steady_clock::now() + longest;
    do {
        for (int k = 0; k < looks; ++k) {
            if (found()) return true;
            pause();
        }
    } while (steady_clock::now() < end);
    return found();
}

}  // namespace

// The threads, and the work that they share.
class Team {
  public:
    std::atomic<bool> taken{false};  // by the run that has it

    // Has so many threads, with the caller's, unless there are fewer processors, or the system gives fewer;
    // returns how many.
    size_t grow(size_t threads) {
        threads = std::min({threads, size_t{Crew::most_parts}, processors()});
        while (helpers_ + 1 < threads) {
            try {
                std::thread([this, worker = helpers_ + 1] { help(worker); }).detach();
            } catch (const std::exception&) {  // no thread, or no memory for one
                break;
            }
            ++helpers_;
        }
        return std::min(threads, helpers_ + 1);
    }

    struct Done {
        bool helped;   // by others
        bool stalled;  // they took so long that they can hardly have had a processor
    };
    Done share(size_t parts, size_t threads, Crew::Call call, const void* work,
               const std::function<void()>* poll) noexcept {
        const auto begin = steady_clock::now();
        call_.store(call, std::memory_order_relaxed);
        work_.store(work, std::memory_order_relaxed);
        parts_.store(parts, std::memory_order_relaxed);
        done_.store(0, std::memory_order_relaxed);
        // In one order with `asleep_` and the look of who is about to sleep: either sees the other.
        open_.store(Open::of(parts, threads));
        if ((asleep_.load() & Open::all(threads)) != 0) wake(threads);
        const bool helped = take_parts(0) < parts;
        const auto all_done = [&] { return done_.load(std::memory_order_acquire) == parts; };
        if (look(all_done, short_patience)) return {helped, false};
        const auto middle = steady_clock::now();
        do {
            std::this_thread::yield();  // who works for us may want this processor
            if (poll != nullptr) (*poll)();
        } while (!look(all_done, short_patience));
        const auto longest = std::max<steady_clock::duration>(stall, middle - begin);
        return {helped, steady_clock::now() - middle > longest};
    }

  private:
    // What nobody has taken yet, in one number: a bit for each part, and how many workers they are for.
    struct Open {
        static uint64_t of(size_t parts, size_t threads) noexcept {
            return uint64_t{threads} << Crew::most_parts | all(parts);
        }
        static uint64_t all(size_t parts) noexcept { return (uint64_t{1} << parts) - 1; }
        static uint64_t parts(uint64_t open) noexcept { return open & all(Crew::most_parts); }
        static size_t threads(uint64_t open) noexcept { return open >> Crew::most_parts; }
        static bool has(uint64_t open, size_t worker) noexcept {
            return parts(open) != 0 && worker < threads(open);
        }
    };

    // Of these parts, the worker's next: each begins with its own, which it takes from operation to
    // operation, so that what it wrote is read where it lies; then it helps others, who begin at the other
    // end.
    static size_t choose(uint64_t open, size_t parts, size_t worker) noexcept {
        const size_t threads = Open::threads(open);
        const uint64_t mine =
            Open::all(parts * (worker + 1) / threads) & ~Open::all(parts * worker / threads);
        return (open & mine) != 0 ? lowest_bit(open & mine) : highest_bit(Open::parts(open));
    }

    // What a part is made of may be read only once it is taken: until it is done, nothing changes that. The
    // number of parts only helps to choose one. Returns how many it took.
    size_t take_parts(size_t worker) noexcept {
        size_t count = 0;
        uint64_t open = open_.load(std::memory_order_relaxed);
        while (Open::has(open, worker)) {
            const size_t part = choose(open, parts_.load(std::memory_order_relaxed), worker);
            if (!open_.compare_exchange_weak(open, open & ~(uint64_t{1} << part), std::memory_order_acquire))
                continue;
            call_.load(std::memory_order_relaxed)(work_.load(std::memory_order_relaxed), part, worker);
            done_.fetch_add(1, std::memory_order_release);
            ++count;
            open = open_.load(std::memory_order_relaxed);
        }
        return count;
    }

    [[noreturn]] void help(size_t worker) noexcept {
        while (true) {
            const auto wanted = [&] { return Open::has(open_.load(std::memory_order_relaxed), worker); };
            if (look(wanted, patience))
                take_parts(worker);
            else
                sleep(worker);
        }
    }

    void sleep(size_t worker) noexcept {
        const uint64_t own = uint64_t{1} << worker;
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_.fetch_or(own);
        if (Open::has(open_.load(), worker))
            asleep_.fetch_and(~own);
        else
            woken_.wait(lock, [&] { return (asleep_.load() & own) == 0; });
    }

    // The first workers count as awake from now on.
    void wake(size_t threads) noexcept {
        const std::lock_guard<std::mutex> lock(mutex_);
        asleep_.fetch_and(~Open::all(threads));
        woken_.notify_all();
    }

    // How many this process may use.
    static size_t processors() noexcept {
#if defined(__linux__)
        cpu_set_t set;
        if (sched_getaffinity(0, sizeof set, &set) == 0)
            return static_cast<size_t>(std::max(1, CPU_COUNT(&set)));
#endif
        return std::max(1u, std::thread::hardware_concurrency());
    }

    alignas(64) std::atomic<uint64_t> open_{0};
    std::atomic<Crew::Call> call_{nullptr};
    std::atomic<const void*> work_{nullptr};
    std::atomic<size_t> parts_{0};
    alignas(64) std::atomic<size_t> done_{0};
    alignas(64) std::atomic<uint64_t> asleep_{0};  // a bit for each worker
    std::mutex mutex_;
    std::condition_variable woken_;
    size_t helpers_ = 0;
};

namespace {

// Never freed: its threads run until the process ends.
std::atomic<Team*> the_team{nullptr};

Team* team() {
    static std::once_flag once;
    std::call_once(once, [] {
        the_team = new Team;
#if !defined(_WIN32)
        // A child has none of the threads, and perhaps locks that nobody will ever open.
        pthread_atfork(nullptr, nullptr, [] { the_team = new Team; });
#endif
    });
    return the_team;
}

}  // namespace

Crew::Crew(size_t threads) : team_(nullptr), threads_(1) {
    if (threads <= 1) return;
    Team* const found = team();
    if (found->taken.exchange(true, std::memory_order_acquire)) return;
    team_ = found;
    threads_ = team_->grow(threads);
}

Crew::~Crew() {
    if (team_ != nullptr) team_->taken.store(false, std::memory_order_release);
}

void Crew::share(size_t parts, Call call, const void* work, const std::function<void()>* poll) noexcept {
    if (threads_ > 1 && parts > 1) {
        const Team::Done done = team_->share(parts, threads_, call, work, poll);
        helped_ = helped_ || done.helped;
        if (done.stalled) threads_ = 1;
        return;
    }
    for (size_t part = 0; part < parts; ++part) call(work, part, 0);
}

}  // namespace spikerun
