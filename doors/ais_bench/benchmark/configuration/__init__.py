"""Where names become models, data sets and summarizers: configuration files first, then what comes along."""
