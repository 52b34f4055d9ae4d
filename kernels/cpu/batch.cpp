// SPDX-License-Identifier: Apache-2.0
#include "batch.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <system_error>
#include <thread>
#include <utility>

namespace spikerun {

namespace {

// What the threads of one run share.
struct Run {
    Run(const Program& the_program, Batch& the_batch) : program(the_program), batch(the_batch) {}
    const Program& program;
    Batch& batch;  // its counters are guarded by the mutex
    std::atomic<size_t> next{0};
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::condition_variable helper_finished;
    size_t helpers = 0;  // that still work
};

void load(const BatchInput& input, size_t sample, Workspace& ws) noexcept {
    const size_t n = input.target.size;
    std::visit([&](const auto* values) { std::copy_n(values + sample * n, n, input.target.in(ws)); },
               input.values);
}

void load(const StepInput& input, size_t sample, size_t step, Workspace& ws) noexcept {
    const size_t n = input.target.size;
    if (step < input.steps)
        std::copy_n(input.values + (sample * input.steps + step) * n, n, input.target.in(ws));
    else
        std::fill_n(input.target.in(ws), n, int16_t{0});
}

template <class T>
void save(const std::vector<BatchOutput<T>>& outputs, size_t sample, Workspace& ws) noexcept {
    for (const BatchOutput<T>& output : outputs)
        std::copy_n(output.source.in(ws), output.source.size, output.values + sample * output.source.size);
}

void add_counters(Run& run, const std::vector<int64_t>& counted) {
    const std::lock_guard<std::mutex> lock(run.mutex);
    for (size_t i = 0; i < counted.size(); ++i) run.batch.counters[i] += counted[i];
}

// Takes samples until none is left. Only the calling thread has a `poll`, which may set run.stop.
template <class Poll>
void work(Run& run, Workspace& ws, Poll poll) {
    const Batch& batch = run.batch;
    for (size_t sample = run.next++; sample < batch.samples; sample = run.next++) {
        run.program.restart(ws);
        for (const BatchInput& input : batch.inputs) load(input, sample, ws);
        for (size_t step = 0; step < batch.steps; ++step) {
            for (const StepInput& input : batch.step_inputs) load(input, sample, step, ws);
            run.program.step(ws);
            poll();
            if (run.stop.load(std::memory_order_relaxed)) return;
        }
        save(batch.words, sample, ws);
        save(batch.numbers, sample, ws);
        add_counters(run, ws.counters);
    }
}

void help(Run& run, Workspace& ws) {
    work(run, ws, [] {});
    const std::lock_guard<std::mutex> lock(run.mutex);
    --run.helpers;
    run.helper_finished.notify_one();
}

// Returns the threads that the system gives, which may be fewer than asked for: those that there are do all
// the work.
std::vector<std::thread> start_helpers(Run& run, const std::vector<std::unique_ptr<Workspace>>& workspaces) {
    std::vector<std::thread> helpers;
    helpers.reserve(workspaces.size());
    const std::lock_guard<std::mutex> lock(run.mutex);
    for (size_t i = 1; i < workspaces.size(); ++i) {
        try {
            helpers.emplace_back([&run, ws = workspaces[i].get()] { help(run, *ws); });
        } catch (const std::system_error&) {
            break;
        }
        ++run.helpers;
    }
    return helpers;
}

// Waits for the helpers, whose last samples may take long, and goes on asking whether to stop.
template <class Poll>
void wait_for_helpers(Run& run, Poll poll) {
    std::unique_lock<std::mutex> lock(run.mutex);
    while (!run.helper_finished.wait_for(lock, std::chrono::milliseconds(50),
                                         [&] { return run.helpers == 0; })) {
        lock.unlock();
        poll();
        lock.lock();
    }
}

}  // namespace

bool run_batch(Program& program, Batch& batch, const std::function<bool()>& interrupted) {
    const size_t workers = std::max<size_t>(1, std::min(batch.threads, batch.samples));
    std::vector<std::unique_ptr<Workspace>> workspaces;
    for (size_t i = 0; i < workers; ++i) workspaces.push_back(program.borrow());

    Run run(program, batch);
    const auto poll = [&] {
        if (!run.stop && interrupted()) run.stop = true;
    };
    std::vector<std::thread> helpers = start_helpers(run, workspaces);
    work(run, *workspaces[0], poll);
    wait_for_helpers(run, poll);
    for (std::thread& helper : helpers) helper.join();
    for (auto& workspace : workspaces) program.give_back(std::move(workspace));
    return !run.stop;
}

}  // namespace spikerun
