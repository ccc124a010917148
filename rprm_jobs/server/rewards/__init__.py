"""Rewards for trainers: from one request to one solution in the live job of its run, and back to one reward.

`lane` waits for outcomes, `judging` turns a request into a solution and an outcome into a reward, `trainers` has what
each trainer sends and expects.
"""
