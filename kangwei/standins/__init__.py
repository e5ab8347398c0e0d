"""Stand-ins (替身服务): real servers that play the outside world over the wire.

Tests start them one by one on free ports of the loopback; the demonstration starts them all with
`python -m kangwei.standins`. They check signatures and limits by code of their own, never by the
product's, and can be told to be slow, to fail, to refuse, to hang up or to take a message twice.
No app imports them.
"""
