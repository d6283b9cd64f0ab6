package auth

import (
	"context"

	"github.com/metricstream/metricstream/tenant/limits"
)

// Grants returns a function that tells what a request of a tenant is held to at that moment: the tenant's limits, and
// beside them those of the key that it came with. It looks only at memory and allocates nothing. Without keys, nil, every
// tenant has the default limits.
func Grants(keys Keys, defaults limits.Limits) func(ctx context.Context, tenantID string) limits.Grant {
	if keys == nil {
		return func(_ context.Context, tenantID string) limits.Grant {
			return limits.Grant{Tenant: tenantID, Limits: defaults}
		}
	}
	return func(ctx context.Context, tenantID string) limits.Grant {
		g := limits.Grant{Tenant: tenantID, Limits: keys.Snapshot().Limits(tenantID)}
		if k := KeyFrom(ctx); k != nil {
			g.Home = k.Tenant
			if held, any := k.Held(); any {
				g.Key, g.KeyLimits = k.ID, held
			}
		}
		return g
	}
}
