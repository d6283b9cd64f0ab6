package main

const help = `A Prometheus-compatible remote-write backend on Kafka and ClickHouse.

Without flags it runs everything in one process with embedded parts: a durable log and a ClickHouse engine, data in ./data, HTTP on :9009.

  Write:  remote_write: [{url: http://localhost:9009/api/v1/write}]
  Query:  http://localhost:9009 as a Prometheus data source, or GET /api/v1/query?query=up

On a cluster run the roles receiver, consumer and querier as processes of their own, with --kafka.brokers and --clickhouse.dsn.`
