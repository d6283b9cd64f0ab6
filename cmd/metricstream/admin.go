package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/metricstream/metricstream/tenant/db"
)

// keyVariable is the environment variable with the key of commands; a flag would show it to every user of the machine.
const keyVariable = "METRICSTREAM_API_KEY"

// adminClient asks the administration of a running process.
type adminClient struct{ url, keyFile, caFile, certFile, certKeyFile string }

func (c *adminClient) bind(cmd *kingpin.CmdClause) {
	cmd.Flag("url", "Where MetricStream is. Default http://localhost:9009.").Default("http://localhost:9009").StringVar(&c.url)
	cmd.Flag("key-file", "File with an API key of the scope admin, or with name:password of a user with the role admin. Without it that is in the variable "+keyVariable+".").StringVar(&c.keyFile)
	cmd.Flag("ca-file", "File with the authority of the server's certificate. Default: those that the machine trusts.").StringVar(&c.caFile)
	cmd.Flag("cert-file", "File with a client's certificate, where the server asks for one.").StringVar(&c.certFile)
	cmd.Flag("cert-key-file", "File with the key of the client's certificate.").StringVar(&c.certKeyFile)
}

// key returns the key, empty where none was given: without auth.enabled none is needed.
func (c *adminClient) key() (string, error) {
	if c.keyFile == "" {
		return os.Getenv(keyVariable), nil
	}
	return readSecret(c.keyFile)
}

// client returns an HTTP client with the certificates that were given.
func (c *adminClient) client() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if c.caFile != "" {
		raw, err := os.ReadFile(c.caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("--ca-file: %s has no certificate", c.caFile)
		}
	}
	if c.certFile != "" || c.certKeyFile != "" {
		own, err := tls.LoadX509KeyPair(c.certFile, c.certKeyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file and --cert-key-file: %w", err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config}, Timeout: 30 * time.Second}, nil
}

// ask sends a request with a body, nil for none, and reads the data of the answer.
func (c *adminClient) ask(ctx context.Context, method, path string, body, data any) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.url, "/")+"/api/v1/admin"+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if name, password, ok := strings.Cut(key, ":"); ok {
		r.SetBasicAuth(name, password)
	} else if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err = io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("cannot read the answer: %w", err)
	}
	answer := struct {
		Error string
		Data  json.RawMessage
	}{}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("%s answered %s, and not as MetricStream does", r.URL, resp.Status)
	}
	if resp.StatusCode != http.StatusOK {
		if key == "" && resp.StatusCode == http.StatusUnauthorized {
			answer.Error += "; for this command set " + keyVariable + ", or --key-file"
		}
		return fmt.Errorf("%s: %s", resp.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// adminCommands adds `metricstream tenant`, `key`, `user` and `limit`.
func adminCommands(app *kingpin.Application, runs map[string]func(context.Context) error) {
	tenants := app.Command("tenant", "Look after tenants, by the administration of a running process.")
	keys := app.Command("key", "Look after API keys, by the administration of a running process.")
	users := app.Command("user", "Look after users, by the administration of a running process.")
	bounds := app.Command("limit", "Look after the limits of tenants and keys, by the administration of a running process.")
	add := func(cmd *kingpin.CmdClause, run func(context.Context, *adminClient) error) {
		c := &adminClient{}
		c.bind(cmd)
		runs[cmd.FullCommand()] = func(ctx context.Context) error { return run(ctx, c) }
	}
	addTenantCommands(tenants, add)
	addKeyCommands(keys, add)
	addUserCommands(users, add)
	addLimitCommands(bounds, add)
}

type addCommand func(*kingpin.CmdClause, func(context.Context, *adminClient) error)

func addTenantCommands(tenants *kingpin.CmdClause, add addCommand) {
	add(tenants.Command("list", "List the tenants."), listTenants)
	create := tenants.Command("create", "Create a tenant.")
	id := create.Arg("name", "Letters, digits and any of !-_.*'().").Required().String()
	description := create.Flag("description", "What it is for.").String()
	add(create, func(ctx context.Context, c *adminClient) error {
		return c.ask(ctx, http.MethodPost, "/tenants", map[string]string{"id": *id, "description": *description}, &db.Tenant{})
	})
	addTenantClass(tenants, add)
	for word, disabled := range map[string]bool{"disable": true, "enable": false} {
		cmd := tenants.Command(word, map[bool]string{true: "Refuse to write and read the data of a tenant, and keep it.", false: "End what disable began."}[disabled])
		id := cmd.Arg("name", "The tenant.").Required().String()
		add(cmd, func(ctx context.Context, c *adminClient) error {
			return c.ask(ctx, http.MethodPatch, "/tenants/"+url.PathEscape(*id), map[string]bool{"disabled": disabled}, &db.Tenant{})
		})
	}
}

// addTenantClass adds `metricstream tenant class`.
func addTenantClass(tenants *kingpin.CmdClause, add addCommand) {
	cmd := tenants.Command("class", "Keep what a tenant writes from now on as another retention class says.")
	id := cmd.Arg("name", "The tenant.").Required().String()
	class := cmd.Arg("number", "One of retention.classes; 0 is what the configuration says.").Required().Uint8()
	add(cmd, func(ctx context.Context, c *adminClient) error {
		return c.ask(ctx, http.MethodPatch, "/tenants/"+url.PathEscape(*id), map[string]uint8{"retention_class": *class}, &db.Tenant{})
	})
}

func listTenants(ctx context.Context, c *adminClient) error {
	var all []db.Tenant
	if err := c.ask(ctx, http.MethodGet, "/tenants", nil, &all); err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "TENANT\tCLASS\tDISABLED\tDESCRIPTION")
	for _, t := range all {
		fmt.Fprintf(out, "%s\t%d\t%s\t%s\n", t.ID, t.RetentionClass, timeOrDash(t.Disabled), oneLine(t.Description))
	}
	return out.Flush()
}

func timeOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

// makeKey asks for a key and prints it alone on the standard output, so that scripts can take it.
func (c *adminClient) makeKey(ctx context.Context, path string, body any) error {
	var k struct {
		db.Key
		Secret string `json:"key"`
	}
	if err := c.ask(ctx, http.MethodPost, path, body, &k); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "The key %s of the tenant %s. It is not shown again:\n", k.ID, k.Tenant)
	fmt.Println(k.Secret)
	return nil
}

func addKeyCommands(keys *kingpin.CmdClause, add addCommand) {
	add(keys.Command("list", "List the keys, without their secrets."), listKeys)
	create := keys.Command("create", "Create a key and print it.")
	var body struct {
		Tenant      string   `json:"tenant"`
		Description string   `json:"description"`
		Scopes      []string `json:"scopes"`
		Tenants     []string `json:"tenants"`
		Selector    string   `json:"selector"`
		ExpiresIn   string   `json:"expires_in,omitempty"`
	}
	create.Flag("tenant", "The tenant whose requests come with it. Default: that of the key which asks.").StringVar(&body.Tenant)
	create.Flag("description", "What it is for.").StringVar(&body.Description)
	create.Flag("scope", "What it may do, repeated: "+strings.Join(db.Scopes(), ", ")+".").Required().EnumsVar(&body.Scopes, db.Scopes()...)
	create.Flag("also-tenant", "Another tenant that X-Scope-OrgID may choose, repeated; * is every one.").StringsVar(&body.Tenants)
	create.Flag("selector", `It reads only series that this selector chooses, such as {team="a"}.`).StringVar(&body.Selector)
	create.Flag("expires-in", "When it expires, such as 90d. Default: never.").StringVar(&body.ExpiresIn)
	add(create, func(ctx context.Context, c *adminClient) error {
		return c.makeKey(ctx, "/keys", body)
	})
	rotate := keys.Command("rotate", "Create a key that may do the same, print it, and let the old one expire.")
	rotated := rotate.Arg("id", "The old key's id.").Required().String()
	overlap := rotate.Flag("overlap", "How long the old key stays good.").Default("24h").String()
	expires := rotate.Flag("expires-in", "When the new key expires, such as 90d; 0s is never. Default: as long as was asked for the old key.").String()
	add(rotate, func(ctx context.Context, c *adminClient) error {
		body := map[string]string{"overlap": *overlap}
		if *expires != "" {
			body["expires_in"] = *expires
		}
		return c.makeKey(ctx, "/keys/"+url.PathEscape(*rotated)+"/rotate", body)
	})
	revoke := keys.Command("revoke", "End a key. Every process refuses it within 5 seconds.")
	revoked := revoke.Arg("id", "The key's id.").Required().String()
	add(revoke, func(ctx context.Context, c *adminClient) error {
		return c.ask(ctx, http.MethodDelete, "/keys/"+url.PathEscape(*revoked), nil, &db.Key{})
	})
}

func listKeys(ctx context.Context, c *adminClient) error {
	var all []db.Key
	if err := c.ask(ctx, http.MethodGet, "/keys", nil, &all); err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "ID\tTENANT\tALSO\tSCOPES\tSELECTOR\tEXPIRES\tREVOKED\tLAST USED\tDESCRIPTION")
	for _, k := range all {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Tenant, dash(strings.Join(k.Tenants, ",")), strings.Join(k.Scopes, ","), dash(k.Selector),
			timeOrDash(k.Expires), timeOrDash(k.Revoked), timeOrDash(k.LastUsed), oneLine(k.Description))
	}
	return out.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
