"""What judging and writing produced: recorded behind a shard's fence, read back in the order of the input.

Workers record, services read.
"""
