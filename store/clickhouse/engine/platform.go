package engine

import (
	"fmt"
	"runtime"
)

// Version is the version of the engine's package that is fetched. Change it together with the checksums.
const Version = "26.7.3-stable.1"

// pkg is the engine's package for one platform.
type pkg struct {
	name string

	// integrity is the package's checksum in the form of npm: sha512- and base64. Where it is empty, only
	// the checksum that the registry itself states is checked, by npm.
	integrity string
}

func (p pkg) spec() string { return p.name + "@" + Version }

func platformPackage() (pkg, error) {
	switch runtime.GOOS + "/" + runtime.GOARCH {
	case "linux/amd64":
		return pkg{"@chdb/lib-linux-x64-gnu", "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw=="}, nil
	case "linux/arm64":
		return pkg{"@chdb/lib-linux-arm64-gnu", ""}, nil
	case "darwin/arm64":
		return pkg{"@chdb/lib-darwin-arm64", ""}, nil
	case "darwin/amd64":
		return pkg{"@chdb/lib-darwin-x64", ""}, nil
	}
	return pkg{}, fmt.Errorf("there is no embedded ClickHouse engine for %s on %s; run a ClickHouse server and set clickhouse.dsn", runtime.GOOS, runtime.GOARCH)
}
