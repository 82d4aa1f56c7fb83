"""`python -m stream_processor`: one worker."""

from stream_processor.worker import main

main()
