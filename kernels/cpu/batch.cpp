#include "batch.hpp"

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

namespace spikerun {

namespace {

// What the threads of one run share.
struct Run {
    Program& program;
    const Batch& batch;
    std::atomic<size_t> next{0};
    std::atomic<bool> stop{false};
};

void load(const Program& program, const BatchInput& input, size_t row, Workspace& ws) noexcept {
    const size_t n = program.word_size(static_cast<int64_t>(input.word));
    std::copy_n(input.values + row * n, n, ws.words[input.word].data());
}

void save(const Batch& batch, size_t sample, const Workspace& ws) noexcept {
    for (const WordOutput& output : batch.words) {
        const auto& word = ws.words[output.word];
        std::copy(word.begin(), word.end(), output.values + sample * word.size());
    }
    for (const AccOutput& output : batch.accs) {
        const auto& acc = ws.accs[output.acc];
        std::copy(acc.begin(), acc.end(), output.values + sample * acc.size());
    }
    std::copy(ws.counters.begin(), ws.counters.end(), batch.counters + sample * ws.counters.size());
}

// Takes samples until none is left. Only the calling thread has a `poll`, which may set run.stop.
template <class Poll>
void work(Run& run, Workspace& ws, Poll poll) {
    const Batch& batch = run.batch;
    for (size_t sample = run.next++; sample < batch.samples; sample = run.next++) {
        run.program.reset(ws);
        for (const BatchInput& input : batch.inputs) load(run.program, input, sample, ws);
        for (size_t step = 0; step < batch.steps; ++step) {
            for (const BatchInput& input : batch.step_inputs)
                load(run.program, input, sample * batch.steps + step, ws);
            run.program.step(ws);
            poll();
            if (run.stop.load(std::memory_order_relaxed)) return;
        }
        save(batch, sample, ws);
        ++run.program.done;
    }
}

}  // namespace

bool run_batch(Program& program, const Batch& batch, const std::function<bool()>& interrupted) {
    program.done = 0;
    const size_t workers = std::max<size_t>(1, std::min(batch.threads, batch.samples));
    std::vector<std::unique_ptr<Workspace>> workspaces;
    for (size_t i = 0; i < workers; ++i) workspaces.push_back(program.borrow());

    Run run{program, batch};
    std::vector<std::thread> helpers;
    helpers.reserve(workers - 1);
    for (size_t i = 1; i < workers; ++i) {
        try {
            helpers.emplace_back([&run, ws = workspaces[i].get()] { work(run, *ws, [] {}); });
        } catch (const std::system_error&) {
            break;  // the system gives no more threads: those that there are do all the work
        }
    }
    work(run, *workspaces[0], [&] {
        if (interrupted()) run.stop = true;
    });
    // The calling thread may be done while a helper still has a long sample to run: it joins without polling.
    for (std::thread& helper : helpers) helper.join();
    for (auto& workspace : workspaces) program.give_back(std::move(workspace));
    return !run.stop;
}

}  // namespace spikerun
