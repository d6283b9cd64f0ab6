// Package testenv starts the real components that integration tests run against: the embedded ClickHouse engine,
// Apache Kafka, Redis, Prometheus. What it cannot start fails the test with what to install; it never skips.
package testenv
