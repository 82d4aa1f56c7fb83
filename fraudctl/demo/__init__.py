"""`fraudctl demo`: the whole system at work on one data set, from an empty cluster to a summary.

The data set is split in time. Its past is folded into histories and trains a model, which never sees what comes after;
the rest is streamed live: folded, scored, alerted, and judged against its labels.
"""
