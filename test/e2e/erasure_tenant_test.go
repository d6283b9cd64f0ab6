package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/tenant/db"
)

// TestATenantIsDeleted with its data, its keys and its users, and another one is not. One that is made anew under its name has
// nothing of it.
func TestATenantIsDeleted(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	n := start(t, "all", data, "--auth.enabled")
	operator := firstKey(t, n)
	now := time.Now().UnixMilli()
	keys := map[string]string{}
	for _, id := range []string{"leaves", "stays"} {
		keyCommand(t, n, operator, "tenant", "create", id)
		keys[id] = keyCommand(t, n, operator, "key", "create", "--tenant="+id, "--scope=read", "--scope=write", "--scope=admin")
		if code := postSamples(with(keys[id], n.url), "", now, 1, 3, map[string]string{"__name__": "owned"}); code != http.StatusNoContent {
			t.Fatalf("write answered %d", code)
		}
	}
	for _, key := range keys {
		eventually(t, time.Minute, "the samples", func() error { return count(with(key, n.url), "owned", now, 3) })
	}

	// A key erases what is its tenant's, and no more.
	form := fmt.Sprintf("/api/v1/admin/tsdb/delete_series?match[]=owned{i=%%220%%22}&end=%d", now/1000+60)
	for _, c := range []struct {
		key, tenant string
		want        int
	}{{keys["stays"], "leaves", http.StatusForbidden}, {"", "", http.StatusUnauthorized}, {keys["stays"], "", http.StatusNoContent}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, n.url+form, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.key != "" {
			r.Header.Set("X-API-Key", c.key)
		}
		if c.tenant != "" {
			r.Header.Set("X-Scope-OrgID", c.tenant)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("delete_series of %q answered %d, want %d", c.tenant, resp.StatusCode, c.want)
		}
	}
	eventually(t, time.Minute, "one of them to be erased", func() error { return count(with(keys["stays"], n.url), "owned", now, 2) })
	for _, path := range []string{"/api/v1/admin/tsdb/delete_series", "/api/v1/admin/tsdb/delete_series?match[]=up{", "/api/v1/admin/tsdb/delete_series?match[]=up&start=2&end=1"} {
		if code, text := post(t, with(keys["stays"], n.url)+path); code != http.StatusBadRequest || !strings.Contains(text, "bad_data") {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if code, _ := post(t, with(keys["stays"], n.url)+"/api/v1/admin/tsdb/clean_tombstones"); code != http.StatusNoContent {
		t.Errorf("clean_tombstones: %d", code)
	}

	if code := administer(t, "DELETE", with(keys["leaves"], n.url), "/tenants/leaves", "", nil); code != http.StatusForbidden {
		t.Errorf("a tenant deletes itself: %d", code)
	}
	if code := administer(t, "DELETE", with(operator, n.url), "/tenants/anonymous", "", nil); code != http.StatusBadRequest {
		t.Errorf("the tenant of the operator's key: %d", code)
	}
	if out, err := exec.CommandContext(t.Context(), binary, "tenant", "delete", "leaves", "--url="+n.url).CombinedOutput(); err == nil || !strings.Contains(string(out), "--yes") {
		t.Errorf("without --yes: %v %s", err, out)
	}
	out := keyCommand(t, n, operator, "tenant", "delete", "leaves", "--yes", "--wait")
	if !strings.Contains(out, "3 series, of 3 of them nothing is left") {
		t.Error(out)
	}
	if code := postSamples(with(keys["leaves"], n.url), "", now, 1, 1, map[string]string{"__name__": "owned"}); code != http.StatusUnauthorized {
		t.Errorf("its key: %d", code)
	}
	if list := keyCommand(t, n, operator, "tenant", "list"); strings.Contains(list, "leaves") || !strings.Contains(list, "stays") {
		t.Errorf("the tenants: %s", list)
	}
	var log []db.Entry
	administer(t, "GET", with(operator, n.url), "/audit", "", &log)
	log = slices.DeleteFunc(log, func(e db.Entry) bool { return e.Tenant != "leaves" })
	if len(log) < 2 || log[0].Action != "erasure.done" || log[1].Action != "tenant.delete" {
		t.Errorf("%+v", log)
	}
	var all []db.Erasure
	if administer(t, "GET", with(keys["stays"], n.url), "/erasures", "", &all); len(all) != 1 || all[0].Tenant != "stays" || !strings.HasPrefix(all[0].Actor, "key ms_") {
		t.Errorf("%+v", all)
	}

	keyCommand(t, n, operator, "tenant", "create", "leaves")
	again := keyCommand(t, n, operator, "key", "create", "--tenant=leaves", "--scope=read", "--scope=write")
	if err := count(with(again, n.url), `{__name__=~".+"}`, now, 0); err != nil {
		t.Error(err)
	}
	if code := postSamples(with(again, n.url), "", now+1, 1, 1, map[string]string{"__name__": "owned"}); code != http.StatusNoContent {
		t.Fatalf("write answered %d", code)
	}
	eventually(t, time.Minute, "what the new one writes", func() error { return count(with(again, n.url), "owned", now+1, 1) })
	if err := count(with(keys["stays"], n.url), "owned", now, 2); err != nil {
		t.Error(err)
	}
}

// post sends an empty request and returns what it is answered with.
func post(t *testing.T, address string) (code int, text string) {
	t.Helper()
	resp, err := http.Post(address, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}
