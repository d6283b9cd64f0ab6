package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFind_AcrossWindows(t *testing.T) {
	const window = 1 << 20
	pattern := []byte("needle")
	want := []uint64{0, window - 3, window + 10, 3*window - 6}
	data := make([]byte, 3*window)
	for _, at := range want {
		copy(data[at:], pattern)
	}
	got, err := find(bytes.NewReader(data), uint64(len(data)), pattern)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v instead of %v, %v", got, want, err)
	}
	// Occurrences at the start of a window are found once, though windows overlap.
	got, err = find(bytes.NewReader(data[window-2:]), window, []byte("eedl"))
	if err != nil || !slices.Equal(got, []uint64{0, 13}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestKeepAliveOnErrors_TouchesNothingItDoesNotKnow(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.so")
	if err := os.WriteFile(other, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadAddress(other); err == nil || !strings.Contains(err.Error(), "begins 0 times") {
		t.Errorf("%v", err)
	}
	if _, err := findTable(other, bytes.NewReader(nil), 0); err == nil {
		t.Error("a table in a file that is no library")
	}
	// This program is no such library either, but it has the form of one.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if at, err := findTable(self, bytes.NewReader(nil), 0); err == nil {
		t.Errorf("a table at %x of this program", at)
	}
}
