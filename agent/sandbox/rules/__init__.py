"""Why a call fails: refusals in Feishu's words, rate limits, faults set on purpose."""
