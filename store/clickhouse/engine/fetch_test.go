package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tarball returns a package with one file and its checksum.
func tarball(t *testing.T, name, content string) (file []byte, integrity string) {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	entries := tar.NewWriter(zipped)
	if err := entries.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := entries.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(entries.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	hash := sha512.Sum512(b.Bytes())
	return b.Bytes(), "sha512-" + base64.StdEncoding.EncodeToString(hash[:])
}

// stub returns a fetcher into a new folder whose npm client is a shell script. In the script, $PACKAGE is the
// tarball and $TO the folder to put it into; every run leaves a line in the returned file.
func stub(t *testing.T, content []byte, integrity, script string) (f *fetcher, runs string) {
	t.Helper()
	dir := t.TempDir()
	runs = filepath.Join(dir, "runs")
	source := filepath.Join(dir, "source.tgz")
	npm := filepath.Join(dir, "npm")
	script = "#!/bin/sh\nPACKAGE='" + source + "'; TO=\"$4\"; echo \"$@\" >> '" + runs + "'\n" + script + "\n"
	if err := errors.Join(os.WriteFile(source, content, 0o600), os.WriteFile(npm, []byte(script), 0o700)); err != nil {
		t.Fatal(err)
	}
	return &fetcher{pkg: pkg{name: "@test/engine", integrity: integrity}, npm: npm, dir: filepath.Join(dir, "cache"), progress: &bytes.Buffer{}}, runs
}

const copyPackage = `cp "$PACKAGE" "$TO/engine.tgz"`

func leftovers(t *testing.T, f *fetcher) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(f.dir, leftoverPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestFetch_OnceByManyAtOnce(t *testing.T) {
	content, integrity := tarball(t, "package/libchdb.so", "the library")
	f, runs := stub(t, content, integrity, copyPackage)
	if err := os.MkdirAll(filepath.Join(f.dir, leftoverPrefix+"killed"), 0o700); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			own := *f // as another process would have
			own.progress = &bytes.Buffer{}
			path, err := own.fetch(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != "the library" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	log, err := os.ReadFile(runs)
	if err != nil || strings.Count(string(log), "\n") != 1 {
		t.Errorf("npm ran with\n%s%v", log, err)
	}
	if !strings.Contains(string(log), "pack @test/engine@"+Version) || !strings.Contains(string(log), "--ignore-scripts") {
		t.Errorf("npm ran with %s", log)
	}
	if left := leftovers(t, f); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestFetch_SaysWhatIsWrongAndLeavesNothing(t *testing.T) {
	good, integrity := tarball(t, "package/libchdb.so", "the library")
	other, otherIntegrity := tarball(t, "package/other", "no library")
	cut := good[:len(good)/2]
	cutHash := sha512.Sum512(cut)
	for name, c := range map[string]struct {
		content   []byte
		integrity string
		script    string
		want      string
	}{
		"another package than expected": {other, integrity, copyPackage, "its checksum is sha512-"},
		"package without the library":   {other, otherIntegrity, copyPackage, "it has no package/libchdb.so"},
		"package cut short":             {cut, "sha512-" + base64.StdEncoding.EncodeToString(cutHash[:]), copyPackage, "cannot unpack the package"},
		"npm leaves nothing":            {good, integrity, "true", "npm left 0 packages"},
		"offline":                       {good, integrity, "echo npm error code ENOTFOUND; exit 1", "cannot be reached"},
		"unknown to the registry":       {good, integrity, "echo npm error code E404; exit 1", "the registry does not have it"},
		"disk full":                     {good, integrity, "echo npm error code ENOSPC; exit 1", "the disk is full"},
		"anything else":                 {good, integrity, "echo 'npm error  strange'; exit 7", "npm error strange"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := stub(t, c.content, c.integrity, c.script)
			path, err := f.fetch(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "@test/engine@"+Version) {
				t.Errorf("%q, %v; it should say %q", path, err, c.want)
			}
			if left := leftovers(t, f); len(left) != 0 {
				t.Errorf("left over: %v", left)
			}
			if found, _ := filepath.Glob(filepath.Join(f.dir, "*", libraryFile)); len(found) != 0 {
				t.Errorf("a library was left: %v", found)
			}
		})
	}
}

func TestFetch_WithoutNpm(t *testing.T) {
	f, _ := stub(t, nil, "", "")
	f.npm = "npm-that-nobody-has"
	_, err := f.fetch(t.Context())
	if err == nil || !strings.Contains(err.Error(), "install Node.js with npm") || !strings.Contains(err.Error(), "clickhouse.dsn") {
		t.Errorf("%v does not say what to do", err)
	}
}

func TestFetch_EndsWithItsContext(t *testing.T) {
	f, runs := stub(t, nil, "", "exec sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(runs); err == nil {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if _, err := f.fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left := leftovers(t, f); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestFetch_ShowsProgress(t *testing.T) {
	content, integrity := tarball(t, "package/libchdb.so", "the library")
	f, _ := stub(t, content, integrity, `head -c 5000000 /dev/zero > "$TO/part"; sleep 1.5; `+copyPackage)
	if _, err := f.fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"fetching the ClickHouse engine, @test/engine@" + Version, "  5 MB after 1 s", "unpacking", "is ready"} {
		if got := f.progress.(*bytes.Buffer).String(); !strings.Contains(got, want) {
			t.Errorf("%q does not have %q", got, want)
		}
	}
}

func TestFetch_FolderThatCannotBeWritten(t *testing.T) {
	f, _ := stub(t, nil, "", "")
	if err := os.WriteFile(f.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), CacheEnv) {
		t.Errorf("%v does not name %s", err, CacheEnv)
	}
	if err := explainDisk(syscall.EACCES); !strings.Contains(err.Error(), CacheEnv) {
		t.Errorf("%v does not name %s", err, CacheEnv)
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv(CacheEnv, "/somewhere")
	if dir, err := CacheDir(); err != nil || dir != "/somewhere" {
		t.Errorf("%q, %v", dir, err)
	}
	t.Setenv(CacheEnv, "")
	t.Setenv("HOME", "/home/somebody")
	t.Setenv("XDG_CACHE_HOME", "")
	if dir, err := CacheDir(); err != nil || !strings.HasPrefix(dir, "/home/somebody/") || filepath.Base(dir) != "metricstream" {
		t.Errorf("%q, %v", dir, err)
	}
}
