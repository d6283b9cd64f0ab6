-- Downsampled series: one row for each series and bucket with samples, in minutes and in hours. A bucket is open on the
-- left and closed on the right; bucket is its end in minutes since 1970. Of the rows of one series and bucket the one
-- with the greatest ver holds: a later fold, which has seen at least as much of raw, replaces an earlier one.
--
-- Values are decimals that share exp, as in samples; where one of them has no decimal form exp is -128 and they are the
-- bits of floats. Only last is stored as it is, the others against a neighbour from which they hardly differ, so that
-- most are zero in most series:
--
--   first_d = last - first    min_d = first - min    sum_d  = n * last - sum
--   prev_d  = last - prev     max_d = max - last     comp_d = resets * last - comp
--
-- modulo 2^64; between floats the difference is the exclusive or of the bits, against last where a product stands.
-- m2 has the upper 44 bits of its fraction, more than its computation leaves exact. Times are milliseconds: first_o from the begin of
-- the bucket, last_o back from its end, prev_o back from the last sample (0: there is none), stale_o back from the end to the
-- last stale marker, plus one (0: there is none). flags: 1 says that the row cannot answer for the samples, 2 that the last
-- sample is a counter reset.
CREATE TABLE IF NOT EXISTS rollup_1m
(
    metric   UInt32 CODEC(ZSTD(1)),
    id       UInt64 CODEC(ZSTD(1)),
    bucket   Int32 CODEC(DoubleDelta, ZSTD(1)),
    ver      UInt64 CODEC(DoubleDelta, ZSTD(1)),
    n        UInt32 CODEC(T64, ZSTD(1)),
    flags    UInt8 CODEC(ZSTD(1)),
    exp      Int8 CODEC(ZSTD(1)),
    last     Int64 CODEC(Delta(8), T64('bit'), ZSTD(1)),
    first_d  Int64 CODEC(T64('bit'), ZSTD(1)),
    prev_d   Int64 CODEC(T64('bit'), ZSTD(1)),
    min_d    Int64 CODEC(T64('bit'), ZSTD(1)),
    max_d    Int64 CODEC(T64('bit'), ZSTD(1)),
    sum_d    Int64 CODEC(T64('bit'), ZSTD(1)),
    comp_d   Int64 CODEC(T64('bit'), ZSTD(1)),
    m2       Float64 CODEC(ZSTD(1)),
    first_o  UInt32 CODEC(T64, ZSTD(1)),
    last_o   UInt32 CODEC(T64, ZSTD(1)),
    prev_o   UInt32 CODEC(T64, ZSTD(1)),
    stale_o  UInt32 CODEC(T64, ZSTD(1)),
    resets   UInt32 CODEC(T64, ZSTD(1)),
    changes  UInt32 CODEC(T64, ZSTD(1)),
    first_st Int64 CODEC(Delta(8), ZSTD(1)),
    last_st  Int64 CODEC(Delta(8), ZSTD(1)),
    class    UInt8 DEFAULT 0 CODEC(ZSTD(1)),
    time     DateTime ALIAS toDateTime(bucket * 60)
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY (class, toInt32(floor((bucket - 1) / 1440)))
ORDER BY (metric, id, bucket)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    merge_selector_base = 12, enable_vertical_merge_algorithm = 0;

CREATE TABLE IF NOT EXISTS rollup_1h AS rollup_1m
ENGINE = ReplacingMergeTree(ver)
PARTITION BY (class, toInt32(floor((bucket - 1) / 131040)))
ORDER BY (metric, id, bucket)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    merge_selector_base = 12, enable_vertical_merge_algorithm = 0;

-- The same for native histograms. first, last, prev, sum and comp are float histograms as in histograms.blob, empty
-- where there is none.
CREATE TABLE IF NOT EXISTS rollup_histograms_1m
(
    metric   UInt32 CODEC(ZSTD(1)),
    id       UInt64 CODEC(ZSTD(1)),
    bucket   Int32 CODEC(DoubleDelta, ZSTD(1)),
    ver      UInt64 CODEC(DoubleDelta, ZSTD(1)),
    n        UInt32 CODEC(T64, ZSTD(1)),
    flags    UInt8 CODEC(ZSTD(1)),
    first    String CODEC(ZSTD(1)),
    last     String CODEC(ZSTD(1)),
    prev     String CODEC(ZSTD(1)),
    sum      String CODEC(ZSTD(1)),
    comp     String CODEC(ZSTD(1)),
    first_o  UInt32 CODEC(T64, ZSTD(1)),
    last_o   UInt32 CODEC(T64, ZSTD(1)),
    prev_o   UInt32 CODEC(T64, ZSTD(1)),
    stale_o  UInt32 CODEC(T64, ZSTD(1)),
    resets   UInt32 CODEC(T64, ZSTD(1)),
    changes  UInt32 CODEC(T64, ZSTD(1)),
    first_st Int64 CODEC(Delta(8), ZSTD(1)),
    last_st  Int64 CODEC(Delta(8), ZSTD(1)),
    class    UInt8 DEFAULT 0 CODEC(ZSTD(1)),
    time     DateTime ALIAS toDateTime(bucket * 60)
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY (class, toInt32(floor((bucket - 1) / 1440)))
ORDER BY (metric, id, bucket)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS rollup_histograms_1h AS rollup_histograms_1m
ENGINE = ReplacingMergeTree(ver)
PARTITION BY (class, toInt32(floor((bucket - 1) / 131040)))
ORDER BY (metric, id, bucket)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- How far the hours are: hour is the end of the hour in minutes since 1970, state 1 is closing and 2 closed. Of the rows of
-- one hour that with the greatest rank, which is ver and state in one number, holds. min_samples is from how many samples in
-- the hour on a series got rows of minutes. tiers says which rows the hour has, of all its series: 2 is those of minutes, 4
-- those of hours.
CREATE TABLE IF NOT EXISTS rollup_hours
(
    hour        Int32,
    rank        UInt64,
    ver         UInt64,
    state       UInt8,
    min_samples UInt32,
    tiers       UInt8
)
ENGINE = ReplacingMergeTree(rank)
ORDER BY hour
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- Series that got samples in an hour after its fold began; metric and id 0 are all of the hour. A mark is cleared by a row
-- that is the same but for cleared. A partition of a month that is long past, and has none that is not cleared, may go.
CREATE TABLE IF NOT EXISTS rollup_marks
(
    hour    Int32,
    metric  UInt32,
    id      UInt64,
    token   UInt64,
    written DateTime64(3),
    cleared UInt8
)
ENGINE = ReplacingMergeTree(cleared)
PARTITION BY toYYYYMM(written)
ORDER BY (hour, metric, id, token, written)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- The days of samples and histograms that have lost the samples of the series that have rows of minutes.
CREATE TABLE IF NOT EXISTS thinned
(
    table LowCardinality(String),
    class UInt8,
    day   Int32
)
ENGINE = ReplacingMergeTree
ORDER BY (table, class, day)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;
