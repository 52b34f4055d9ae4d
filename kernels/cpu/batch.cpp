// SPDX-License-Identifier: Apache-2.0
#include "batch.hpp"

#include <algorithm>
#include <utility>

#include "paced.hpp"

namespace spikerun {

namespace {

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

// Runs samples, each in a workspace of the thread's. They stop at the next pass once `stop` is set.
struct Runner {
    Program& program;
    const Batch& batch;
    std::atomic<bool> stop{false};

    // step: executes a pass of the workspace. Adds to the counters, [slot][2].
    template <class Step>
    void run(size_t sample, Workspace& ws, std::vector<int64_t>& counters, Step step) noexcept {
        if (stop.load(std::memory_order_relaxed)) return;
        program.restart(ws);
        for (const BatchInput& input : batch.inputs) load(input, sample, ws);
        for (size_t pass = 0; pass < batch.steps && !ws.decided; ++pass) {
            for (const StepInput& input : batch.step_inputs) load(input, sample, pass, ws);
            step();
            if (stop.load(std::memory_order_relaxed)) return;
        }
        save(batch.words, sample, ws);
        save(batch.numbers, sample, ws);
        for (size_t i = 0; i < counters.size(); ++i) counters[i] += ws.counters[i];
    }
};

// One after the other, each by all threads.
void run_in_turn(Runner& runner, Batch& batch, const std::function<void()>& poll) {
    std::unique_ptr<Workspace> ws = runner.program.borrow();
    for (size_t sample = 0; sample < batch.samples; ++sample) {
        Paced paced(runner.program, *ws, batch.threads);
        runner.run(sample, *ws, batch.counters, [&] {
            paced.step();
            poll();
        });
    }
    runner.program.give_back(std::move(ws));
}

// Each thread takes samples until none is left.
void run_side_by_side(Runner& runner, Batch& batch, const std::function<void()>& poll) {
    Crew crew(std::min(batch.threads, batch.samples));
    std::vector<std::unique_ptr<Workspace>> workspaces;
    for (size_t i = 0; i < crew.threads(); ++i) workspaces.push_back(runner.program.borrow());
    std::vector<std::vector<int64_t>> counters(workspaces.size(),
                                               std::vector<int64_t>(batch.counters.size()));
    std::atomic<size_t> next{0};
    const auto run = [&](size_t, size_t worker) {
        Workspace& ws = *workspaces[worker];
        for (size_t sample = next++; sample < batch.samples; sample = next++)
            runner.run(sample, ws, counters[worker], [&] {
                runner.program.step(ws);
                if (worker == 0) poll();
            });
    };
    crew.share(workspaces.size(), run, poll);
    for (size_t i = 0; i < workspaces.size(); ++i) {
        std::transform(counters[i].begin(), counters[i].end(), batch.counters.begin(), batch.counters.begin(),
                       std::plus<int64_t>());
        runner.program.give_back(std::move(workspaces[i]));
    }
}

}  // namespace

bool run_batch(Program& program, Batch& batch, const std::function<bool()>& interrupted) {
    Runner runner{program, batch};
    const std::function<void()> poll = [&] {
        if (!runner.stop && interrupted()) runner.stop = true;
    };
    (batch.samples < batch.threads ? run_in_turn : run_side_by_side)(runner, batch, poll);
    return !runner.stop;
}

}  // namespace spikerun
