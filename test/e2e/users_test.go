package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// people are two processes that share the users, tenants and limits of a PostgreSQL: what is changed here has to be in
// force there.
type people struct {
	here, there *node
	operator    string
	nowMs       int64
}

const passwordOfVera = "vera's own password" // the others' are made

func startPeople(t *testing.T, postgres *testenv.Postgres) *people {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metricstream.yml")
	if err := os.WriteFile(file, []byte("retention: {classes: {3: {raw: 30d, 1m: 90d, 1h: 2y}}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	flags := func(database string) []string {
		return []string{"--config.file=" + file, "--auth.enabled", "--metadata.dsn=" + postgres.DSN, "--clickhouse.dsn=" + clickhouse(t) + database}
	}
	p := &people{nowMs: time.Now().UnixMilli()}
	p.here = start(t, "all", t.TempDir(), flags("_here")...)
	p.operator = firstKey(t, p.here)
	p.there = start(t, "all", t.TempDir(), flags("_there")...)
	return p
}

// do runs a command here.
func (p *people) do(t *testing.T, args ...string) string {
	t.Helper()
	return keyCommand(t, p.here, p.operator, args...)
}

// refused runs a command here that has to fail with a text.
func (p *people) refused(t *testing.T, want string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append(args, "--url="+p.here.url)...)
	cmd.Env = append(os.Environ(), "METRICSTREAM_API_KEY="+p.operator)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: %v %s, want %s", args, err, out, want)
	}
}

// as is the address there for a user.
func (p *people) as(user, password string) string {
	return strings.Replace(p.there.url, "http://", "http://"+user+":"+escape(password)+"@", 1)
}

// writes and reads are what the user gets for it there.
func (p *people) writes(user, password string) int {
	return postSamples(p.as(user, password), "", p.nowMs, 1, 2, map[string]string{"__name__": "of_people"})
}

func (p *people) reads(t *testing.T, user, password string) int {
	code, _ := request(t, p.as(user, password)+"/api/v1/query?query=of_people")
	return code
}

// in5s waits until what was changed here holds there.
func in5s(t *testing.T, what string, want int, ask func() int) {
	t.Helper()
	eventually(t, inForce, what, func() error {
		if got := ask(); got != want {
			return fmt.Errorf("%d, want %d", got, want)
		}
		return nil
	})
}

// same waits until there is known what is known here.
func (p *people) same(t *testing.T) {
	t.Helper()
	const version = "metricstream_metadata_version"
	want, err := metricSum(with(p.operator, p.here.url), version)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, inForce, "the changes there", func() error {
		got, err := metricSum(with(p.operator, p.there.url), version)
		if err == nil && got < want {
			err = fmt.Errorf("version %v, want %v", got, want)
		}
		return err
	})
}

// TestUsers creates users by the commands, changes what they may, and takes PostgreSQL away in between.
func TestUsers(t *testing.T) {
	t.Parallel()
	postgres := testenv.StartPostgres(t)
	p := startPeople(t, postgres)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(passwordOfVera+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.do(t, "tenant", "create", "a")
	ed := p.do(t, "user", "create", "ed", "--tenant=a", "--role=editor", "--description=Edgar")
	if printed := p.do(t, "user", "create", "vera", "--tenant=a", "--role=viewer", "--password-file="+file); printed != "" || len(ed) < 20 {
		t.Errorf("printed %q and %q", ed, printed)
	}
	ada := p.do(t, "user", "create", "ada", "--tenant=a", "--role=admin")
	if list := keyCommand(t, p.here, "ada:"+ada, "user", "list"); !strings.Contains(list, "Edgar") {
		t.Errorf("an admin sees\n%s", list)
	}
	p.same(t)
	if code := p.writes("ed", ed); code != 204 {
		t.Errorf("an editor's write: %d", code)
	}
	if write, read := p.writes("vera", passwordOfVera), p.reads(t, "vera", passwordOfVera); write != 403 || read != 200 {
		t.Errorf("a viewer's write: %d, read: %d", write, read)
	}
	if code, _ := request(t, p.as("vera", passwordOfVera)+"/api/v1/admin/users"); code != 403 {
		t.Errorf("a viewer sees users: %d", code)
	}
	p.do(t, "user", "role", "vera", "editor")
	in5s(t, "the role", 204, func() int { return p.writes("vera", passwordOfVera) })

	old := ed
	ed = p.do(t, "user", "password", "ed")
	in5s(t, "the old password's end", 401, func() int { return p.writes("ed", old) })
	if code := p.writes("ed", ed); code != 204 {
		t.Errorf("with the new password: %d", code)
	}
	tenantsChange(t, p, ed)
	postgresGoes(t, p, postgres, ed)
	noPasswords(t, p, ed, old, passwordOfVera)
}

// tenantsChange disables a tenant, sets its limits and its retention class.
func tenantsChange(t *testing.T, p *people, ed string) {
	t.Helper()
	p.do(t, "tenant", "disable", "a")
	in5s(t, "writes of a disabled tenant", 403, func() int { return p.writes("ed", ed) })
	if code := p.reads(t, "ed", ed); code != 403 {
		t.Errorf("a read of a disabled tenant: %d", code)
	}
	p.do(t, "tenant", "enable", "a")
	in5s(t, "writes of an enabled tenant", 204, func() int { return p.writes("ed", ed) })

	eventually(t, time.Minute, "the series", func() error { return count(p.as("ed", ed), "of_people", p.nowMs, 2) })
	out := p.do(t, "limit", "set", "--tenant=a", "query_series=1", "query_range=30d")
	if fields := strings.Join(strings.Fields(out), " "); !strings.Contains(fields, "query_range 30d 30d query_samples - - query_series 1 1") {
		t.Errorf("the limits are shown as\n%s", out)
	}
	in5s(t, "the limit", 422, func() int { return p.reads(t, "ed", ed) })
	p.do(t, "limit", "set", "--tenant=a", "query_series=")
	in5s(t, "the limit's end", 200, func() int { return p.reads(t, "ed", ed) })
	p.refused(t, `there is no limit "samples"`, "limit", "set", "samples=1")
	p.refused(t, "query_series: -1 is negative", "limit", "set", "--tenant=a", "query_series=-1")

	p.refused(t, "retention_class: there is no class 7; retention.classes has 3", "tenant", "class", "a", "7")
	p.do(t, "tenant", "class", "a", "3")
	eventually(t, inForce, "the retention class", func() error {
		body, err := getAs(p.as("ed", ed)+"/api/v1/status/retention", "")
		if err == nil && !strings.Contains(body, `"class":3,"tiers":[{"tier":"raw","keep":"30d"`) {
			err = fmt.Errorf("%s", body)
		}
		return err
	})
	// What came before is still known to be there.
	if err := count(p.as("ed", ed), "of_people", p.nowMs, 2); err != nil {
		t.Error(err)
	}
}

// postgresGoes kills PostgreSQL: nothing can be changed, and what is known holds on.
func postgresGoes(t *testing.T, p *people, postgres *testenv.Postgres, ed string) {
	t.Helper()
	postgres.Kill()
	operator := with(p.operator, p.here.url)
	for _, c := range [][3]string{
		{"POST", "/users", `{"name":"new","role":"viewer"}`},
		{"PATCH", "/users/ed", `{"disabled":true}`},
		{"DELETE", "/users/ed", ""},
		{"PUT", "/limits", `{"query_series":1}`},
		{"PATCH", "/tenants/a", `{"retention_class":0}`},
		{"GET", "/users", ""},
	} {
		if code := administer(t, c[0], operator, c[1], c[2], nil); code != http.StatusServiceUnavailable {
			t.Errorf("%v without PostgreSQL: %d", c, code)
		}
	}
	if write, read := p.writes("ed", ed), p.reads(t, "vera", passwordOfVera); write != 204 || read != 200 {
		t.Errorf("without PostgreSQL a write got %d, a read %d", write, read)
	}
	postgres.Restart()
	eventually(t, 30*time.Second, "changes to work again", func() error {
		if code := administer(t, "PATCH", operator, "/users/vera", `{"disabled":true}`, nil); code != http.StatusOK {
			return fmt.Errorf("%d", code)
		}
		return nil
	})
	in5s(t, "a disabled user", 401, func() int { return p.reads(t, "vera", passwordOfVera) })
	p.do(t, "user", "enable", "vera")
	in5s(t, "an enabled user", 200, func() int { return p.reads(t, "vera", passwordOfVera) })
	p.do(t, "user", "delete", "ed")
	in5s(t, "a deleted user", 401, func() int { return p.writes("ed", ed) })
	if list := p.do(t, "user", "list"); strings.Contains(list, "ed ") || !strings.Contains(list, "vera") {
		t.Errorf("the users:\n%s", list)
	}
}

// noPasswords are in the audit log, which has all that was done, nor in the logs of the processes.
func noPasswords(t *testing.T, p *people, passwords ...string) {
	t.Helper()
	_, audit := request(t, with(p.operator, p.here.url)+"/api/v1/admin/audit?limit=1000")
	for _, action := range []string{"user.create", "user.update", "user.password", "user.delete", "tenant.limits", "tenant.update"} {
		if !strings.Contains(audit, `"action":"`+action+`"`) {
			t.Errorf("the audit log has no %s", action)
		}
	}
	texts := []string{audit}
	for _, n := range []*node{p.here, p.there} {
		raw, err := os.ReadFile(n.Log)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(raw))
	}
	for _, text := range texts {
		for _, secret := range append(passwords, "$2a$") {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %.200s...", secret, text)
			}
		}
	}
}

// TestAdministrationWithoutKeys sets a limit by a command without a key, which outlives the process.
func TestAdministrationWithoutKeys(t *testing.T) {
	t.Parallel()
	dir, dsn := t.TempDir(), "--clickhouse.dsn="+clickhouse(t)
	n := start(t, "all", dir, dsn)
	command(t, false, []string{"limit", "set", "query_series=1", "--url=" + n.url}, "auth.enabled", "web.enable_admin_api")
	n.Interrupt()
	n = start(t, "all", dir, dsn, "--web.enable-admin-api")
	command(t, true, []string{"limit", "set", "query_series=1", "--url=" + n.url})
	n.Interrupt()
	n = start(t, "all", dir, dsn, "--web.enable-admin-api")
	now := time.Now().UnixMilli()
	if code := postSamples(n.url, "", now, 1, 2, map[string]string{"__name__": "limited"}); code != http.StatusNoContent {
		t.Fatalf("%d", code)
	}
	eventually(t, time.Minute, "the limit to hold", func() error {
		if code, body := request(t, n.url+"/api/v1/query?query=limited"); code != http.StatusUnprocessableEntity {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}
