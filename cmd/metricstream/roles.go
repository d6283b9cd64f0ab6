package main

// role is what one process does.
type role struct {
	name, help                  string
	receives, consumes, queries bool
}

var roles = []role{
	{name: "all", help: "Receive, consume and query in one process. The default.", receives: true, consumes: true, queries: true},
	{name: "receiver", help: "Take remote write requests into the log.", receives: true},
	{name: "consumer", help: "Write the log into ClickHouse.", consumes: true},
	{name: "querier", help: "Answer the Prometheus HTTP API from ClickHouse.", queries: true},
}

// embeds tells whether the role may have embedded parts, which only one process can use.
func (r role) embeds() bool { return r.name == "all" }

// needsLog and needsStore tell which parts a role opens.
func (r role) needsLog() bool   { return r.receives || r.consumes }
func (r role) needsStore() bool { return r.consumes || r.queries }
