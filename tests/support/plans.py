"""The plans that tests run with, as TOML."""

from __future__ import annotations

# On this plan every doubled and every missing grant changes the sum of the balances.
ADDER = """
[plans.adder]
allowance = 10
period = "day"
policy = "accumulate"
"""
ONLY_ADDER = f'default_plan = "adder"\n{ADDER}'

DAILY = f"""
default_plan = "free"
[plans.free]
allowance = 50
period = "day"
policy = "top_up"
{ADDER}
[plans.capped]
allowance = 40
period = "day"
policy = "accumulate"
cap = 100
"""
PLANS = f"""
{DAILY}
[plans.weekly]
allowance = 70
period = "week"
policy = "reset"
[plans.pro]
allowance = 2000
period = "month"
anchor = "signup"
policy = "reset"
"""
# The same plans, but full users on `free` are left alone.
SKIPPING = PLANS.replace("[plans.adder]", 'when_full = "skip"\n[plans.adder]')
# The plans of the model. Each policy has a daily plan. On the longer plans each grant changes the sum of the balances.
MODEL = f"""
{DAILY}
[plans.steady]
allowance = 30
period = "day"
policy = "reset"
[plans.weekly]
allowance = 7
period = "week"
policy = "accumulate"
[plans.spare]
allowance = 20
period = "day"
policy = "top_up"
when_full = "skip"
[plans.pro]
allowance = 100
period = "month"
anchor = "signup"
policy = "accumulate"
"""
