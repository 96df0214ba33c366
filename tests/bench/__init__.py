"""What the ledger costs: ratios within one run, against the real Redis behind the gateway.

``python -m tests.bench`` measures, shows and writes ``docs/bench/ledger.md`` with its chart.
"""
