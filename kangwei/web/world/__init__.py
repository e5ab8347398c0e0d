"""The demonstration world (演示数据): a believable province, told from a seed through services."""
