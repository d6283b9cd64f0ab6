package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// download has the npm client put the package's tarball into the folder and returns its path. The client's own
// cache is kept in the folder too: the tarball would stay in the user's for ever, and what grows there is
// the progress.
func (f *fetcher) download(ctx context.Context, work string) (string, error) {
	npm, err := exec.LookPath(f.npm)
	if err != nil {
		return "", fmt.Errorf("the npm client is needed and was not found; install Node.js with npm, or run a ClickHouse server and set clickhouse.dsn: %w", err)
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, npm, "pack", f.pkg.spec(), "--pack-destination", work, "--cache", filepath.Join(work, "npm"),
		"--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
	cmd.Dir = work
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("cannot run %s: %w", npm, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for started := time.Now(); ; {
		select {
		case <-tick.C:
			f.say("  %.0f MB after %.0f s", float64(largestFile(work))/1e6, time.Since(started).Seconds())
			continue
		case err = <-done:
		}
		break
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", explainNpm(err, output.String())
	}
	found, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("npm left %d packages instead of one: %s", len(found), oneLine(output.String()))
	}
	return found[0], nil
}

// largestFile returns the size of the largest file below the folder: the tarball, wherever npm keeps it while
// it grows.
func largestFile(dir string) int64 {
	var largest int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			largest = max(largest, info.Size())
		}
		return nil
	})
	return largest
}

// explainNpm adds to an error of the npm client what can be done about it.
func explainNpm(err error, output string) error {
	advice := "see its message"
	for code, text := range map[string]string{
		"ENOTFOUND": "offline", "EAI_AGAIN": "offline", "ECONNREFUSED": "offline", "ETIMEDOUT": "offline", "ECONNRESET": "offline", "ENETUNREACH": "offline",
		"E404":   "the registry does not have it",
		"ENOSPC": "the disk is full",
	} {
		if !strings.Contains(output, code) {
			continue
		}
		switch text {
		case "offline":
			advice = "the package registry cannot be reached; check the network and the npm client's proxy settings, copy the cache folder from another machine, or set clickhouse.dsn"
		case "the disk is full":
			return explainDisk(fmt.Errorf("npm: %w: %s", syscall.ENOSPC, oneLine(output)))
		default:
			advice = text + "; check the npm client's registry setting, or set clickhouse.dsn"
		}
	}
	return fmt.Errorf("npm pack failed, %s: %w: %s", advice, err, oneLine(output))
}

// explainDisk adds to an error of the file system what can be done about it.
func explainDisk(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is full, the engine needs 1 GB while it is fetched and 600 MB afterwards; free some or set %s to a folder elsewhere: %w", CacheEnv, err)
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("the cache folder cannot be written, set %s to one that can: %w", CacheEnv, err)
	}
	return err
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 500)]
}
