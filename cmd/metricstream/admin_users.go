package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kingpin/v2"
	"github.com/metricstream/metricstream/tenant/db"
)

// addUserCommands adds `metricstream user`.
func addUserCommands(users *kingpin.CmdClause, add addCommand) {
	add(users.Command("list", "List the users."), listUsers)
	addUserCreate(users, add)
	change := func(word, help string, body func(*kingpin.CmdClause) func() (map[string]any, error)) {
		cmd := users.Command(word, help)
		name := cmd.Arg("name", "The user.").Required().String()
		of := body(cmd)
		add(cmd, func(ctx context.Context, c *adminClient) error {
			b, err := of()
			if err != nil {
				return err
			}
			return c.putUser(ctx, http.MethodPatch, "/users/"+url.PathEscape(*name), b)
		})
	}
	change("role", "Give a user another role.", func(cmd *kingpin.CmdClause) func() (map[string]any, error) {
		role := cmd.Arg("role", strings.Join(db.Roles(), ", ")+".").Required().Enum(db.Roles()...)
		return func() (map[string]any, error) { return map[string]any{"role": *role}, nil }
	})
	change("password", "Give a user another password: one that is made and printed, or that of a file.", func(cmd *kingpin.CmdClause) func() (map[string]any, error) {
		file := passwordFlag(cmd)
		return func() (map[string]any, error) {
			password, err := readSecret(*file)
			return map[string]any{"password": password}, err
		}
	})
	for word, disabled := range map[string]bool{"disable": true, "enable": false} {
		help := map[bool]string{true: "Let a user in no more, and keep what he may.", false: "End what disable began."}[disabled]
		change(word, help, func(*kingpin.CmdClause) func() (map[string]any, error) {
			return func() (map[string]any, error) { return map[string]any{"disabled": disabled}, nil }
		})
	}
	remove := users.Command("delete", "Delete a user. Every process refuses him within 5 seconds.")
	name := remove.Arg("name", "The user.").Required().String()
	add(remove, func(ctx context.Context, c *adminClient) error {
		return c.ask(ctx, http.MethodDelete, "/users/"+url.PathEscape(*name), nil, &db.User{})
	})
}

func addUserCreate(users *kingpin.CmdClause, add addCommand) {
	create := users.Command("create", "Create a user, and print the password that is made for him.")
	var body struct {
		Name        string   `json:"name"`
		Password    string   `json:"password,omitempty"`
		Tenant      string   `json:"tenant,omitempty"`
		Tenants     []string `json:"tenants"`
		Role        string   `json:"role"`
		Description string   `json:"description"`
	}
	create.Arg("name", "Letters, digits and any of -_.@+.").Required().StringVar(&body.Name)
	create.Flag("role", "A viewer reads, an editor writes and keeps rules too, an admin administers too.").Required().EnumVar(&body.Role, db.Roles()...)
	create.Flag("tenant", "The tenant whose requests come with the name. Default: that of the key which asks.").StringVar(&body.Tenant)
	create.Flag("also-tenant", "Another tenant that X-Scope-OrgID may choose, repeated; * is every one.").StringsVar(&body.Tenants)
	create.Flag("description", "Who it is.").StringVar(&body.Description)
	file := passwordFlag(create)
	add(create, func(ctx context.Context, c *adminClient) (err error) {
		if body.Password, err = readSecret(*file); err != nil {
			return err
		}
		return c.putUser(ctx, http.MethodPost, "/users", body)
	})
}

func passwordFlag(cmd *kingpin.CmdClause) *string {
	return cmd.Flag("password-file", "File with the password, 10 to 72 bytes. Default: one is made and printed.").String()
}

// readSecret returns what a file has, without spaces around it, and nothing where none is named.
func readSecret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return secret, nil
}

// putUser sends a user and prints the password alone on the standard output, where one was made.
func (c *adminClient) putUser(ctx context.Context, method, path string, body any) error {
	var u struct {
		db.User
		Password string
	}
	if err := c.ask(ctx, method, path, body, &u); err != nil {
		return err
	}
	if u.Password != "" {
		fmt.Fprintf(os.Stderr, "The password of %s. It is not shown again:\n", u.Name)
		fmt.Println(u.Password)
	}
	return nil
}

func listUsers(ctx context.Context, c *adminClient) error {
	var all []db.User
	if err := c.ask(ctx, http.MethodGet, "/users", nil, &all); err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "USER\tTENANT\tALSO\tROLE\tDISABLED\tDESCRIPTION")
	for _, u := range all {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", u.Name, u.Tenant, dash(strings.Join(u.Tenants, ",")), u.Role, timeOrDash(u.Disabled), oneLine(u.Description))
	}
	return out.Flush()
}
