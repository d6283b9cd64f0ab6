-- Codecs of rollups that are quicker to read, and for most columns smaller: ends of buckets step evenly, and the times of a
-- series' first and last samples hardly differ between buckets. Parts that are there keep theirs until they are merged.
ALTER TABLE rollup_1m
    MODIFY COLUMN bucket Int32 CODEC(Delta(4), ZSTD(1)),
    MODIFY COLUMN ver UInt64 CODEC(ZSTD(1)),
    MODIFY COLUMN n UInt32 CODEC(ZSTD(1)),
    MODIFY COLUMN first_o UInt32 CODEC(ZSTD(1)),
    MODIFY COLUMN last_o UInt32 CODEC(ZSTD(1)),
    MODIFY COLUMN prev_o UInt32 CODEC(ZSTD(1));

ALTER TABLE rollup_1h
    MODIFY COLUMN bucket Int32 CODEC(Delta(4), ZSTD(1)),
    MODIFY COLUMN ver UInt64 CODEC(ZSTD(1)),
    MODIFY COLUMN n UInt32 CODEC(ZSTD(1)),
    MODIFY COLUMN first_o UInt32 CODEC(ZSTD(1)),
    MODIFY COLUMN last_o UInt32 CODEC(ZSTD(1)),
    MODIFY COLUMN prev_o UInt32 CODEC(ZSTD(1));
