package db

import (
	"fmt"
	"net/url"
	"os"

	"github.com/metricstream/metricstream/internal/dsn"
)

// Config is the section `metadata` of the configuration.
type Config struct {
	// DSN is a PostgreSQL database, postgres://user:password@host:5432/database. Empty is an SQLite file in the
	// data folder, which one process can use. As with every client of PostgreSQL, sslmode in it says what is asked of TLS:
	// verify-full checks the server's certificate (sslrootcert names the authority), disable is for loopback; without
	// it TLS is needed.
	DSN string `yaml:"dsn"`
}

// DefaultConfig returns the defaults: the SQLite file.
func DefaultConfig() Config { return Config{} }

// Validate checks the section; its errors name the key and never show the password.
func (c Config) Validate() error {
	if c.DSN == "" {
		return nil
	}
	u, err := url.Parse(c.DSN)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Host == "" {
		return fmt.Errorf("metadata.dsn: is not a PostgreSQL database, such as postgres://user:password@host:5432/database")
	}
	return checkFiles(u.Query())
}

// checkFiles refuses files that cannot be read, which do not get better by waiting.
func checkFiles(q url.Values) error {
	if q.Get("sslinline") == "true" {
		return nil // they are no files
	}
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey"} {
		path := q.Get(name)
		if path == "" || path == "system" {
			continue
		}
		if _, err := os.ReadFile(path); err != nil {
			return fmt.Errorf("metadata.dsn: %s cannot be read: %w", name, err)
		}
	}
	return nil
}

// Redacted returns the section without what is secret in its DSN.
func (c Config) Redacted() Config {
	c.DSN = dsn.Redact(c.DSN, url.Parse)
	return c
}

// File is the name of the SQLite file in the data folder.
const File = "metadata.sqlite"
