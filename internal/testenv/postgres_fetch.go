package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// PostgresServer says where a PostgreSQL server is.
type PostgresServer struct {
	// Bin is the folder of its programs.
	Bin string

	// Root is the folder that everything of it was unpacked into, and Libraries are folders of libraries in there. Both
	// are empty for the machine's own.
	Root      string
	Libraries []string
}

// FetchPostgres finds a PostgreSQL server: the machine's own, or Debian's, which it brings into the cache folder, with
// the libraries that the machine has not, where it is not there yet.
func FetchPostgres(ctx context.Context, cacheDir string) (PostgresServer, error) {
	if installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(installed) > 0 {
		return PostgresServer{Bin: filepath.Dir(installed[len(installed)-1])}, nil
	}
	return fetchPostgres(ctx, cacheDir)
}

func fetchPostgres(ctx context.Context, cacheDir string) (PostgresServer, error) {
	root := filepath.Join(cacheDir, "debian-postgresql")
	if _, err := os.Stat(root); err != nil {
		if err := unpackPostgres(ctx, cacheDir, root); err != nil {
			return PostgresServer{}, fmt.Errorf("%w\ninstall it yourself (Debian: apt-get install postgresql)", err)
		}
	}
	s := PostgresServer{Root: root}
	found, err := filepath.Glob(filepath.Join(root, "usr/lib/postgresql/*/bin/initdb"))
	if err != nil || len(found) != 1 {
		return s, fmt.Errorf("cannot find PostgreSQL's programs in %s: there are %d", root, len(found))
	}
	s.Bin = filepath.Dir(found[0])
	for _, pattern := range []string{"usr/lib/*-linux-gnu", "lib/*-linux-gnu"} {
		more, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return s, err
		}
		s.Libraries = append(s.Libraries, more...)
	}
	return s, nil
}

var (
	dependsOnServer = regexp.MustCompile(`Depends: (postgresql-[0-9]+)`)
	wouldInstall    = regexp.MustCompile(`(?m)^Inst (lib\S+)`)
)

// unpackPostgres downloads the server and what apt would install with it, and unpacks all of it into one folder.
func unpackPostgres(ctx context.Context, cacheDir, root string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "apt-cache", "depends", "postgresql").CombinedOutput()
	server := dependsOnServer.FindSubmatch(out)
	if err != nil || server == nil {
		return fmt.Errorf("cannot find Debian's PostgreSQL: %v\n%s\ntry `apt-get update` as root first", err, out)
	}
	packages := []string{string(server[1])}
	out, err = exec.CommandContext(ctx, "apt-get", "--simulate", "--no-install-recommends", "install", packages[0]).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot list what %s needs: %w\n%s", packages[0], err, out)
	}
	for _, library := range wouldInstall.FindAllSubmatch(out, -1) {
		packages = append(packages, string(library[1]))
	}
	tmp, err := os.MkdirTemp(cacheDir, "postgresql-*")
	if err != nil {
		return fmt.Errorf("cannot create a folder for PostgreSQL: %w", err)
	}
	defer os.RemoveAll(tmp)
	list := strings.Join(packages, " ")
	cmd := exec.CommandContext(ctx, "sh", "-c", `{ apt-get download `+list+` || { apt-get update && apt-get download `+list+`; }; } 2>&1 && for f in *.deb; do dpkg -x "$f" unpacked || exit 1; done`)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot fetch Debian's %s: %w\n%s", list, err, out)
	}
	return publish(filepath.Join(tmp, "unpacked"), root)
}

func joinPaths(paths []string) string { return strings.Join(paths, ":") }
