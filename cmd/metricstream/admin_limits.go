package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kingpin/v2"
	"github.com/metricstream/metricstream/tenant/limits"
)

// limitValues are limits by their names, as JSON.
type limitValues map[string]json.RawMessage

// limited is the answer of the administration.
type limited struct{ Overrides, Effective limitValues }

// limitsOf names whose limits a command is about: those of all tenants without any.
type limitsOf struct{ tenant, key string }

func (o *limitsOf) bind(cmd *kingpin.CmdClause) {
	cmd.Flag("tenant", "Those of this tenant. Default: those of all tenants that have none of their own.").StringVar(&o.tenant)
	cmd.Flag("key", "Those of the key with this id, which hold beside its tenant's.").StringVar(&o.key)
}

func (o *limitsOf) path() (string, error) {
	switch {
	case o.tenant != "" && o.key != "":
		return "", fmt.Errorf("--tenant and --key cannot be given both")
	case o.tenant != "":
		return "/tenants/" + url.PathEscape(o.tenant) + "/limits", nil
	case o.key != "":
		return "/keys/" + url.PathEscape(o.key) + "/limits", nil
	}
	return "/limits", nil
}

// addLimitCommands adds `metricstream limit`.
func addLimitCommands(cmds *kingpin.CmdClause, add addCommand) {
	show := cmds.Command("list", "List the limits of all tenants, of one or of a key: what is set and what holds.")
	var of limitsOf
	of.bind(show)
	add(show, func(ctx context.Context, c *adminClient) error {
		path, err := of.path()
		if err != nil {
			return err
		}
		var l limited
		if err := c.ask(ctx, http.MethodGet, path, nil, &l); err != nil {
			return err
		}
		return l.print()
	})
	set := cmds.Command("set", "Set limits, beside those that are set already. In force everywhere within 5 seconds.")
	var to limitsOf
	to.bind(set)
	given := set.Arg("name=value", "A limit such as samples_per_second=50000 or query_range=30d; 0 is none, and without a value it is as if it had never been set.").Required().Strings()
	add(set, func(ctx context.Context, c *adminClient) error {
		path, err := to.path()
		if err != nil {
			return err
		}
		patch := limitValues{}
		for _, one := range *given {
			if err := patch.set(one); err != nil {
				return err
			}
		}
		var now limited
		if err := c.ask(ctx, http.MethodPatch, path, patch, &now); err != nil {
			return err
		}
		return now.print()
	})
}

// set takes name=value.
func (v limitValues) set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q is not name=value, such as active_series=100000", text)
	}
	raw, err := json.Marshal(limits.Default())
	if err != nil {
		return err
	}
	known := limitValues{}
	if err := json.Unmarshal(raw, &known); err != nil {
		return err
	}
	like, ok := known[name]
	switch {
	case !ok:
		return fmt.Errorf("there is no limit %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	case value == "":
		v[name] = json.RawMessage("null")
	case like[0] == '"':
		v[name], err = json.Marshal(value)
		return err
	case !json.Valid([]byte(value)):
		return fmt.Errorf("%s: %q is not a number", name, value)
	default:
		v[name] = json.RawMessage(value)
	}
	return nil
}

func (l limited) print() error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "LIMIT\tSET\tHOLDS")
	for _, name := range slices.Sorted(maps.Keys(l.Effective)) {
		holds := strings.Trim(string(l.Effective[name]), `"`)
		if holds == "0" || holds == "0s" {
			holds = "-"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\n", name, dash(strings.Trim(string(l.Overrides[name]), `"`)), holds)
	}
	return out.Flush()
}
