-- What has changed of times that were thought to be over: samples that came late, and what was taken over from a shadow or
-- deleted. Whoever remembers answers looks here whether they still hold. metric is as in samples; 0 is all of them, and the
-- hash of a tenant without a name all of the tenant's. Hours count from 1970; both ends are included. token is a sum of random
-- numbers, one for each change, so that it is another one after each of them whether rows are merged or not.
--
-- A row goes when nothing that is older than it can be remembered any more, see cache.ttl.
CREATE TABLE IF NOT EXISTS changes
(
    metric    UInt32 CODEC(ZSTD(1)),
    from_hour Int32 CODEC(ZSTD(1)),
    to_hour   Int32 CODEC(ZSTD(1)),
    token     SimpleAggregateFunction(sumWithOverflow, UInt64) CODEC(NONE),
    written   SimpleAggregateFunction(max, DateTime) DEFAULT now()
)
ENGINE = AggregatingMergeTree
ORDER BY (metric, from_hour, to_hour)
TTL written + INTERVAL 8 DAY
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;
