"""The page about a model that people read."""

from datetime import UTC, datetime

from scorer.bundle_writer import NewBundle
from scorer.manifest import Window


def model_card(new: NewBundle) -> str:
    lineage = new.lineage
    rows = "\n".join(
        f"| {name} | {new.metrics[name]:.4f} | {new.metrics[f'request_only_{name}']:.4f} |"
        for name in new.metrics
        if not name.startswith("request_only_")
    )
    return f"""# Model {new.model_name}

Gives the probability that a card payment is fraud, for `fraudctl` and the scorer of this project. It is meant to rank
payments for a policy with costs and for people's review; not to decide alone about a person.

- Features: {len(new.full.feature_names)} of the view `{new.view}`, feature_set_version `{new.feature_set_version}`.
- When histories cannot be read, a second model answers from {len(new.request_only.feature_names)} of the request's own.
- Trained on {_words(lineage.train)}.
- Calibrated on {_words(lineage.calibration)}.
- Measured on {_words(lineage.test)}, which neither the models nor the calibration saw.
- Labels that were not yet known when the test window began were not used for fitting.

| on the test window | all features | request only |
| --- | --- | --- |
{rows}

Alerts are what the bundle's policy reviews or declines. No customers are removed from this test window, so the figures
are not those of the handbook's protocol (`fraudctl evaluate --protocol handbook`).

## Limits
- It knows fraud as it was labelled; what nobody reported counts as genuine.
- A probability holds while payments look like those it was calibrated on; `baseline.json` is what to compare with.
- Nothing about a person beyond their payments is a feature. Fairness between groups was not measured, as no group is
  recorded.
"""


def _words(window: Window) -> str:
    start, end = (datetime.fromtimestamp(ms / 1000, tz=UTC).date() for ms in (window.start_ms, window.end_ms))
    return f"{window.rows:,} payments, {window.frauds:,} of them frauds, from {start} up to and without {end}"
