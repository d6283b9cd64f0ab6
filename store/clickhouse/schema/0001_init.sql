-- Tables of one node. Every table is told to sync its files to the disk, because an insert that was answered must
-- survive a loss of power, and a row of ingest_progress must not outlive the rows it speaks of. Nothing relies on
-- ClickHouse's deduplication of inserts, which can lose them; rows that are written twice are one row by their key.

-- Float samples. A row is identified by all of its sorting key, so that a replayed row is the same row and
-- collapses; two values at one timestamp both stay, and readers choose by one rule. The value is a decimal:
-- mant / 10^-exp, or, where exp is -128, the bits of the float in mant.
CREATE TABLE IF NOT EXISTS samples
(
    metric UInt32 CODEC(ZSTD(1)),
    id     UInt64 CODEC(ZSTD(1)),
    ts     Int64 CODEC(DoubleDelta, ZSTD(1)),
    exp    Int8 CODEC(ZSTD(1)),
    mant   Int64 CODEC(Delta(8), T64('bit'), ZSTD(1)),
    class  UInt8 DEFAULT 0 CODEC(ZSTD(1)),
    value  Float64 ALIAS if(exp = -128, reinterpretAsFloat64(mant),
        mant / [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17][1 - exp]),
    time   DateTime64(3) ALIAS fromUnixTimestamp64Milli(ts)
)
ENGINE = ReplacingMergeTree
PARTITION BY (class, toInt64(floor(ts / 86400000)))
PRIMARY KEY (metric, id, ts)
ORDER BY (metric, id, ts, exp, mant)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    merge_selector_base = 12, enable_vertical_merge_algorithm = 0;

-- Changes of the start timestamp: it holds for the series' samples from ts on.
CREATE TABLE IF NOT EXISTS starts
(
    metric UInt32 CODEC(ZSTD(1)),
    id     UInt64 CODEC(ZSTD(1)),
    ts     Int64 CODEC(DoubleDelta, ZSTD(1)),
    start  Int64 CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PRIMARY KEY (metric, id, ts)
ORDER BY (metric, id, ts, start)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- Native histograms. blob is the protobuf message io.prometheus.write.v2.Histogram without its timestamp, hash
-- the xxHash64 of blob.
CREATE TABLE IF NOT EXISTS histograms
(
    metric UInt32 CODEC(ZSTD(1)),
    id     UInt64 CODEC(ZSTD(1)),
    ts     Int64 CODEC(DoubleDelta, ZSTD(1)),
    hash   UInt64 CODEC(NONE),
    count  Float64 CODEC(Gorilla, ZSTD(1)),
    sum    Float64 CODEC(Gorilla, ZSTD(1)),
    blob   String CODEC(ZSTD(1)),
    class  UInt8 DEFAULT 0 CODEC(ZSTD(1)),
    time   DateTime64(3) ALIAS fromUnixTimestamp64Milli(ts)
)
ENGINE = ReplacingMergeTree
PARTITION BY (class, toInt64(floor(ts / 86400000)))
PRIMARY KEY (metric, id, ts)
ORDER BY (metric, id, ts, hash)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- Exemplars. hash is the xxHash64 of the value and the labels.
CREATE TABLE IF NOT EXISTS exemplars
(
    metric UInt32 CODEC(ZSTD(1)),
    id     UInt64 CODEC(ZSTD(1)),
    ts     Int64 CODEC(DoubleDelta, ZSTD(1)),
    hash   UInt64 CODEC(NONE),
    value  Float64 CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    class  UInt8 DEFAULT 0 CODEC(ZSTD(1)),
    time   DateTime64(3) ALIAS fromUnixTimestamp64Milli(ts)
)
ENGINE = ReplacingMergeTree
PARTITION BY (class, toInt64(floor(ts / 86400000)))
PRIMARY KEY (metric, id, ts)
ORDER BY (metric, id, ts, hash)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- Series. labels has the metric name too, as __name__, and is sorted by name. It is in the sorting key so
-- that two label sets of one id stay two rows, which readers refuse. Days count from 1970-01-01; a row says that
-- the series has samples in them, give or take one day. has says what the series has beside float samples: 1 is
-- histograms, 2 is starts.
CREATE TABLE IF NOT EXISTS series
(
    tenant      LowCardinality(String),
    name        LowCardinality(String),
    metric      UInt32 CODEC(ZSTD(1)),
    id          UInt64 CODEC(ZSTD(1)),
    labels      Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    first_day   SimpleAggregateFunction(min, Int32) CODEC(ZSTD(1)),
    last_day    SimpleAggregateFunction(max, Int32) CODEC(ZSTD(1)),
    has         SimpleAggregateFunction(groupBitOr, UInt8) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PRIMARY KEY (tenant, name, metric, id)
ORDER BY (tenant, name, metric, id, labels)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    index_granularity = 256;

-- Series by label: which series of a tenant have this value of this label.
CREATE TABLE IF NOT EXISTS postings
(
    tenant    LowCardinality(String),
    label     LowCardinality(String),
    value     String CODEC(ZSTD(1)),
    name      LowCardinality(String),
    metric    UInt32 CODEC(ZSTD(1)),
    id        UInt64 CODEC(ZSTD(1)),
    first_day SimpleAggregateFunction(min, Int32) CODEC(ZSTD(1)),
    last_day  SimpleAggregateFunction(max, Int32) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, label, value, name, metric, id)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
    index_granularity = 4096;

CREATE MATERIALIZED VIEW IF NOT EXISTS postings_of_series TO postings AS
SELECT tenant, label, value, name, metric, id, first_day, last_day
FROM series
ARRAY JOIN mapKeys(labels) AS label, mapValues(labels) AS value;

-- What senders said of metric families; what came last holds.
CREATE TABLE IF NOT EXISTS metric_metadata
(
    tenant LowCardinality(String),
    name   String CODEC(ZSTD(1)),
    type   LowCardinality(String),
    help   String CODEC(ZSTD(1)),
    unit   String CODEC(ZSTD(1)),
    seen   DateTime64(9) DEFAULT now64(9)
)
ENGINE = ReplacingMergeTree(seen)
ORDER BY (tenant, name)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- How far the log has been written into the tables above; a row is written after the data that it speaks of.
-- generation tells a topic from another of the same name before it: when a topic is made again offsets begin anew.
CREATE TABLE IF NOT EXISTS ingest_progress
(
    topic       LowCardinality(String),
    generation  LowCardinality(String),
    partition   Int32,
    next_offset SimpleAggregateFunction(max, Int64),
    max_ms      SimpleAggregateFunction(max, Int64)
)
ENGINE = AggregatingMergeTree
ORDER BY (topic, generation, partition)
SETTINGS non_replicated_deduplication_window = 0,
    fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- The samples of one metric with their labels, one for each series and time, for use by hand:
--   SELECT time, labels['instance'], value FROM samples_of(tenant = 'anonymous', name = 'up') WHERE ts > ...
CREATE VIEW IF NOT EXISTS samples_of AS
SELECT s.ts AS ts, fromUnixTimestamp64Milli(s.ts) AS time, l.labels AS labels, s.value AS value
FROM
(
    SELECT metric, id, ts,
        argMax(value, (reinterpretAsUInt64(value) != 0x7ff0000000000002, not isNaN(value), if(isNaN(value), 0, value), reinterpretAsInt64(value))) AS value
    FROM samples
    WHERE (metric, id) IN (SELECT metric, id FROM series WHERE tenant = {tenant:String} AND name = {name:String})
    GROUP BY metric, id, ts
) AS s
INNER JOIN
(
    SELECT metric, id, any(labels) AS labels
    FROM series
    WHERE tenant = {tenant:String} AND name = {name:String}
    GROUP BY metric, id
) AS l ON s.metric = l.metric AND s.id = l.id;
