package main

import (
	"context"

	"github.com/metricstream/metricstream/pii"
	"github.com/metricstream/metricstream/remotewrite/codec"
	"github.com/metricstream/metricstream/tenant/db"
)

// openPrivacy sets up what receivers do with personal data: as the configuration says, and where there is a metadata database
// as is set there for a tenant. What they find is listed there too.
func (n *node) openPrivacy(ctx context.Context) error {
	if !n.role.receives {
		return nil
	}
	o := pii.PolicyOptions{Defaults: n.config.PII.Settings, Secret: []byte(n.config.PII.HashSecret), Logger: n.logger}
	if metadata := n.parts.metadata; metadata != nil {
		o.Overrides = func(tenant string) pii.Overrides { return metadata.Snapshot().PII(tenant) }
		findings := db.NewPIIFindings(metadata, n.registry)
		n.parts.found = func(tenant string, found map[codec.Found]int) { findings.Add(listFound(tenant, found)...) }
		n.stack.Go("findings of personal data", findings.Run)
		if len(o.Secret) == 0 {
			err := n.retry(ctx, theMetadata, func() (err error) {
				o.Secret, err = metadata.PIISecret(ctx)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	var err error
	n.parts.privacy, err = pii.NewPolicies(o)
	return err
}

func listFound(tenant string, found map[codec.Found]int) []db.PIIFinding {
	list := make([]db.PIIFinding, 0, len(found))
	for f, n := range found {
		list = append(list, db.PIIFinding{Tenant: tenant, Detector: f.Detector, Label: f.Label, Metric: f.Metric, Action: string(f.Action), Series: int64(n)})
	}
	return list
}
