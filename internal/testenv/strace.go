package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// GetStrace returns a program that runs strace: the machine's own, or Debian's, fetched into the cache folder with
// the library that it needs.
func GetStrace(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("strace"); err == nil {
		return path
	}
	cache := CacheDir(t)
	strace, err := fetchDebian(t.Context(), cache, "strace", "usr/bin/strace")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fetchDebian(t.Context(), cache, "libunwind8", "usr/lib"); err != nil {
		t.Fatal(err)
	}
	libraries, err := filepath.Glob(filepath.Join(cache, "debian-libunwind8", "usr/lib/*-linux-gnu"))
	if err != nil || len(libraries) == 0 {
		t.Fatalf("there is no library in Debian's libunwind8: %v", err)
	}
	wrapper := filepath.Join(t.TempDir(), "strace")
	script := "#!/bin/sh\nLD_LIBRARY_PATH=" + libraries[0] + " exec " + strace + " \"$@\"\n"
	if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return wrapper
}
