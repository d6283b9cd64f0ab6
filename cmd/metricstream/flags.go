package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/metricstream/metricstream/cmd/metricstream/internal/config"
)

// flags are what can be said on the command line of a role; what is not given is the configuration's.
type flags struct {
	configFile    string
	configCheck   bool
	listenAddress string
	webConfigFile string
	storagePath   string
	kafkaBrokers  string
	kafkaTopic    string
	kafkaInstance string
	clickhouseDSN string
	authEnabled   bool
	adminAPI      bool
	metadataDSN   string
	logLevel      string
	logFormat     string

	from int64 // of the commands on dead letters
}

func bindFlags(cmd *kingpin.CmdClause) *flags {
	f := &flags{}
	d := config.Default()
	bindLogFlags(cmd, f)
	cmd.Flag("config.check", "Check the file and the flags, and exit.").BoolVar(&f.configCheck)
	cmd.Flag("web.listen-address", fmt.Sprintf("Address for writes, queries and /metrics. Default %s.", d.Web.ListenAddress)).StringVar(&f.listenAddress)
	cmd.Flag("web.config.file", "File with certificates for TLS 1.3, in the format of Prometheus' flag of this name; read again for each connection. Default: no TLS.").StringVar(&f.webConfigFile)
	cmd.Flag("kafka.instance-id", "Name of this consumer, another for each, with which it comes back to its partitions at once after a restart.").StringVar(&f.kafkaInstance)
	bindClickHouse(cmd, f)
	cmd.Flag("auth.enabled", "Refuse requests without an API key; the first start prints a first key. Default: everyone is let in.").BoolVar(&f.authEnabled)
	cmd.Flag("web.enable-admin-api", "Serve /api/v1/admin without auth.enabled too, to everyone who reaches the address. Default: only with auth.enabled.").BoolVar(&f.adminAPI)
	cmd.Flag("log.level", fmt.Sprintf("debug, info, warn or error. Default %s.", d.Log.Level)).StringVar(&f.logLevel)
	cmd.Flag("log.format", fmt.Sprintf("logfmt or json. Default %s.", d.Log.Format)).StringVar(&f.logFormat)
	return f
}

// bindLogFlags binds what says where the log is.
func bindLogFlags(cmd *kingpin.CmdClause, f *flags) {
	d := config.Default()
	cmd.Flag("config.file", "YAML file; flags win over it. /api/v1/status/config shows every key with its value.").StringVar(&f.configFile)
	cmd.Flag("storage.path", fmt.Sprintf("Folder for the data of the embedded parts. Default %s.", d.Storage.Path)).StringVar(&f.storagePath)
	cmd.Flag("kafka.brokers", "Kafka brokers, host:port,... Without them the log is embedded, in the data folder.").StringVar(&f.kafkaBrokers)
	cmd.Flag("kafka.topic", fmt.Sprintf("Topic of the log. Default %s.", d.Kafka.Topic)).StringVar(&f.kafkaTopic)
	cmd.Flag("metadata.dsn", "PostgreSQL for tenants, API keys, users and limits, postgres://user:password@host:5432/database. Without it they are in a file in the data folder.").StringVar(&f.metadataDSN)
}

// bindClickHouse binds what says where ClickHouse is.
func bindClickHouse(cmd *kingpin.CmdClause, f *flags) {
	cmd.Flag("clickhouse.dsn", "ClickHouse server, clickhouse://user:password@host:9000/database. Without it the engine is embedded, fetched once into METRICSTREAM_CACHE (default: metricstream in the user's cache folder).").StringVar(&f.clickhouseDSN)
}

// load reads the file, puts the flags over it and checks the whole.
func (f *flags) load() (config.Config, error) {
	c, err := config.Load(f.configFile)
	if err != nil {
		return c, err
	}
	for _, o := range []struct {
		given string
		key   *string
	}{
		{f.listenAddress, &c.Web.ListenAddress},
		{f.webConfigFile, &c.Web.ConfigFile},
		{f.storagePath, &c.Storage.Path},
		{f.kafkaTopic, &c.Kafka.Topic},
		{f.kafkaInstance, &c.Kafka.InstanceID},
		{f.clickhouseDSN, &c.ClickHouse.DSN},
		{f.metadataDSN, &c.Metadata.DSN},
		{f.logLevel, &c.Log.Level},
		{f.logFormat, &c.Log.Format},
	} {
		if o.given != "" {
			*o.key = o.given
		}
	}
	if f.kafkaBrokers != "" {
		c.Kafka.Brokers = strings.Split(f.kafkaBrokers, ",")
	}
	c.Auth.Enabled = c.Auth.Enabled || f.authEnabled
	c.Web.EnableAdminAPI = c.Web.EnableAdminAPI || f.adminAPI
	return c, c.Validate()
}

// shown is what /api/v1/status/flags answers: the flags as they are in force.
func shown(f *flags, c config.Config) map[string]string {
	c = c.Redacted()
	return map[string]string{
		"config.file":          f.configFile,
		"web.listen-address":   c.Web.ListenAddress,
		"web.config.file":      c.Web.ConfigFile,
		"storage.path":         c.Storage.Path,
		"kafka.brokers":        strings.Join(c.Kafka.Brokers, ","),
		"kafka.topic":          c.Kafka.Topic,
		"kafka.instance-id":    c.Kafka.InstanceID,
		"clickhouse.dsn":       c.ClickHouse.DSN,
		"auth.enabled":         strconv.FormatBool(c.Auth.Enabled),
		"metadata.dsn":         c.Metadata.DSN,
		"web.enable-admin-api": strconv.FormatBool(c.Web.EnableAdminAPI),
		"log.level":            c.Log.Level,
		"log.format":           c.Log.Format,
	}
}
