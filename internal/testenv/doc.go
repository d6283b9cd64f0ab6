// Package testenv starts the real components that integration tests run against: the embedded ClickHouse engine,
// Apache Kafka, Prometheus. What it cannot start fails the test with what to install; it never skips.
package testenv
