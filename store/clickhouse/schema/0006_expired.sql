-- What the janitor has removed, or is about to, because its time was over: day is where a partition of a table and class begins.
-- whole is 0 where it is only the samples of the series that have rows of minutes. A row is there before the first sample goes,
-- so that nobody takes what is left, or comes back late, for all there was.
CREATE TABLE IF NOT EXISTS expired
(
    table LowCardinality(String),
    class UInt8,
    day   Int32,
    whole UInt8
)
ENGINE = ReplacingMergeTree
ORDER BY (table, class, day, whole)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;
