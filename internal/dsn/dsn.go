// Package dsn shows addresses of databases without what is secret in them. How one is taken apart is its caller's to say:
// the clients of databases do not agree on it.
package dsn

import (
	"net/url"
	"strings"
)

// hidden is what stands for a secret, as in package url.
const hidden = "xxxxx"

// Redact returns an address without its secrets: the password, and options whose names say that they are secret. Of one
// that cannot be taken apart, or whose password may have ended up elsewhere because it was not escaped, it shows nothing.
func Redact(address string, parse func(string) (*url.URL, error)) string {
	if address == "" {
		return ""
	}
	u, err := parse(address)
	if err != nil || u.Opaque != "" || u.Fragment != "" || strings.Contains(u.Path, "@") {
		return hidden
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return hidden
	}
	for name, values := range options {
		switch {
		case secret(name):
			options.Set(name, hidden)
		case strings.Contains(name+strings.Join(values, ""), "@"):
			return hidden
		}
	}
	u.RawQuery = options.Encode()
	return u.Redacted()
}

// secret goes by the name of an option; the one for a proxy has its password in it.
func secret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"pass", "secret", "token", "credential", "proxy"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
