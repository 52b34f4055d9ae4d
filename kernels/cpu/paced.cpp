// SPDX-License-Identifier: Apache-2.0
#include "paced.hpp"

namespace spikerun {

Paced::Paced(Program& program, Workspace& ws, size_t threads) : program_(program), ws_(ws) {
    if (threads <= 1) return;
    way_ = program.pace().next();
    if (way_ == Way::shared) {
        crew_.emplace(threads);
        if (crew_->threads() == 1) return;  // others have them: that says nothing about this program
        program.equip(ws, crew_->threads());
    }
    if (way_ == Way::timed) times_.resize(program.n_operations());
    passes_ = 0;
    begin_ = std::chrono::steady_clock::now();
}

Paced::~Paced() {
    if (passes_ <= 0) return;
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin_;
    if (way_ == Way::timed) program_.pace().took(times_);
    program_.pace().took(way_, taken.count() / static_cast<double>(passes_), crew_ && crew_->helped());
}

void Paced::step() noexcept {
    if (way_ == Way::timed)
        program_.timed_step(ws_, times_);
    else if (crew_)
        program_.step(ws_, *crew_);
    else
        program_.step(ws_);
    if (passes_ >= 0) ++passes_;
}

}  // namespace spikerun
