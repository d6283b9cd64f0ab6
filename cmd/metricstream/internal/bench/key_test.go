package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKey goes along with every request, those of the probe too.
func TestKey(t *testing.T) {
	j := newJudge(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s has %q", r.URL, r.Header.Get("Authorization"))
		}
		j.ServeHTTP(w, r)
	}))
	defer server.Close()
	file, summary := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "summary.json")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := DefaultWriteOptions()
	w.URL, w.KeyFile, w.JSONFile, w.Series, w.Duration = server.URL+"/api/v1/write", file, summary, 10, 100*time.Millisecond
	if _, err := RunWrite(t.Context(), w, io.Discard); err != nil {
		t.Fatal(err)
	}
	q := DefaultQueryOptions()
	q.URL, q.KeyFile, q.Written, q.MaxPerQuery = server.URL, file, summary, 1
	if _, err := RunQuery(t.Context(), q, io.Discard); err != nil {
		t.Fatal(err)
	}
	w.KeyFile = file + "x"
	if _, err := RunWrite(t.Context(), w, io.Discard); err == nil || !strings.Contains(err.Error(), "--key-file") {
		t.Errorf("got %v", err)
	}
}
