"""The fifteen features of the public handbook on card fraud detection (Le Borgne et al.), for comparison with it."""

from feature_service.catalogue.definitions import DAY_MS, Aggregate, FeatureView, RequestFeature, Statistic

_WINDOWS_MS = (DAY_MS, 7 * DAY_MS, 30 * DAY_MS)

HANDBOOK = FeatureView(
    "handbook",
    (
        *(RequestFeature(name) for name in ("amount", "is_weekend", "is_night")),
        *(
            Aggregate(entity="customer", statistic=statistic, window_ms=window_ms)
            for window_ms in _WINDOWS_MS
            for statistic in (Statistic.COUNT, Statistic.AMOUNT_MEAN)
        ),
        *(
            Aggregate(entity="terminal", statistic=statistic, window_ms=window_ms, delay_ms=7 * DAY_MS)
            for window_ms in _WINDOWS_MS
            for statistic in (Statistic.COUNT, Statistic.FRAUD_RATE)
        ),
    ),
)
