package sqlgen

// Metadata returns name, type, help and unit of a tenant's metrics, or of one, sorted.
func Metadata(tenant, name string) Statement {
	var b builder
	b.where("tenant = " + b.text(tenant))
	if name != "" {
		b.where("name = " + b.text(name))
	}
	return b.statement("SELECT name, type, help, unit FROM metric_metadata FINAL $WHERE ORDER BY name")
}
