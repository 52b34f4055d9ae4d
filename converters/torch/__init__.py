# SPDX-License-Identifier: Apache-2.0
"""The importer of torch: modules are exported, and the operators of `aten` read by rules."""
