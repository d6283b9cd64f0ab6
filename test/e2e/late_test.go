package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLateSamples writes a series backwards in time: what is within remote_write.max_age is there, what is older is
// refused and shown to its tenant.
func TestLateSamples(t *testing.T) {
	t.Parallel()
	n := start(t, "all", filepath.Join(t.TempDir(), "data"))
	now := time.Now().UnixMilli()
	labels := map[string]string{"__name__": "late_test"}
	ages := []time.Duration{0, time.Hour, 26 * time.Hour, 3 * 24 * time.Hour, 7*24*time.Hour - time.Minute, 2 * time.Minute}
	for i, age := range ages {
		if code := postSamples(n.url, "late", now-age.Milliseconds(), float64(i), 1, labels); code != http.StatusNoContent {
			t.Fatalf("%s late: status %d", age, code)
		}
	}
	if code := postSamples(n.url, "late", now-(8*24*time.Hour).Milliseconds(), 1, 1, labels); code != http.StatusBadRequest {
		t.Fatalf("8 days late: status %d, want 400", code)
	}
	for i, age := range ages {
		eventually(t, time.Minute, fmt.Sprintf("the sample that is %s late", age), func() error {
			body, err := getAs(fmt.Sprintf("%s/api/v1/query?query=late_test&time=%s", n.url, seconds(float64(now-age.Milliseconds())/1000)), "late")
			if err == nil {
				err = contains(body, fmt.Sprintf(`"%d"]`, i))
			}
			return err
		})
	}
	body, err := getAs(n.url+"/prometheus/api/v1/status/rejections", "late")
	for _, want := range []string{`"reason":"too_old"`, "late_test", `"status":"success"`} {
		if err == nil {
			err = contains(body, want)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if body, err := getAs(n.url+"/api/v1/status/rejections", ""); err != nil || body != `{"status":"success","data":{"rejections":[]}}`+"\n" {
		t.Errorf("another tenant sees %s, %v", body, err)
	}
}

func contains(text, want string) error {
	if !strings.Contains(text, want) {
		return fmt.Errorf("got %s, want %s in it", text, want)
	}
	return nil
}
