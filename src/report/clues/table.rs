//! The table itself.

/// What to make of a line that has one of these marks in it; in lower case.
pub(super) struct Clue {
    pub(super) code: &'static str,
    pub(super) marks: &'static [&'static str],
    /// The probable cause; the line is quoted behind it.
    pub(super) sentence: &'static str,
    pub(super) help: &'static str,
}

/// The more telling before the less: a missing module is reported by a traceback, too.
pub(super) const CLUES: &[Clue] = &[
    Clue {
        code: "python_module_missing",
        marks: &["modulenotfounderror", "importerror", "no module named"],
        sentence: "a Python module that it needs is not installed",
        help: "install it for the interpreter that the command runs, or start the server by `uvx` \
               or `uv run`, which bring their own",
    },
    Clue {
        code: "npm_package_missing",
        marks: &["code e404", "is not in this registry", "err_pnpm_fetch_404"],
        sentence: "npm knows no such package",
        help: "check the name of the package, its scope (`@owner/…`) included, and which registry \
               npm asks",
    },
    Clue {
        code: "npm_program_missing",
        marks: &["could not determine executable to run"],
        sentence: "the npm package has no program that could be run by the package's name",
        help: "name the program too: `npx -y -p <package> <program>`; an older Node may be offered \
               an older package",
    },
    Clue {
        code: "npm_cache",
        marks: &["code eacces", "code eexist", "code eperm"],
        sentence: "npm may not write where it keeps its packages",
        help: "give the folder to the user that runs the host, or name another in the variable \
               `npm_config_cache`",
    },
    Clue {
        code: "registry_unreachable",
        marks: &[
            "code enotfound",
            "code eai_again",
            "code etimedout",
            "code econnreset",
            "enotcached",
            "failed to fetch: `http",
            "dns error: failed to lookup",
        ],
        sentence: "the package registry was not reached",
        help: "check the network; a proxy's variables (HTTPS_PROXY, NO_PROXY) reach the child only \
               if the spec passes them on by `env`; or install the package beforehand",
    },
    Clue {
        code: "node_module_missing",
        marks: &[
            "cannot find module",
            "err_module_not_found",
            "cannot find package",
            "err_package_path_not_exported",
        ],
        sentence: "a Node module that it needs is not there",
        help: "check the path among the arguments; install and build the server in its folder; \
               where npx's own folder is named, remove `~/.npm/_npx` and try again",
    },
    Clue {
        code: "python_package_missing",
        marks: &[
            "no solution found when resolving",
            "was not found in the package registry",
            "could not find a version that satisfies",
            "no matching distribution found",
        ],
        sentence: "the Python package, or a version of it that fits, is nowhere to be had",
        help: "check the package's name and version, and which Python it wants",
    },
    Clue {
        code: "python_program_missing",
        marks: &["is not provided by package", "failed to spawn: ", "executables are provided by"],
        sentence: "the Python package has no program of that name",
        help: "name the program too: `uvx --from <package> <program>`; `uv run` needs the folder \
               of the project (`--directory`)",
    },
    Clue {
        code: "docker_not_running",
        marks: &[
            "cannot connect to the docker daemon",
            "is the docker daemon running",
            "docker desktop is not running",
            "dial unix /var/run/docker.sock: connect: no such",
        ],
        sentence: "Docker is not running, or not where its client looks for it",
        help: "start it; pass DOCKER_HOST on by the spec's `env` where it is set",
    },
    Clue {
        code: "docker_not_allowed",
        marks: &["permission denied while trying to connect to the docker"],
        sentence: "the user that runs the host may not use Docker",
        help: "add the user to the group `docker`, and log in anew",
    },
    Clue {
        code: "docker_wants_terminal",
        marks: &["the input device is not a tty", "cannot enable tty mode on non tty input"],
        sentence: "Docker was told to use a terminal, and there is none",
        help: "use `docker run -i --rm`, without `-t`",
    },
    Clue {
        code: "docker_image_missing",
        marks: &[
            "pull access denied",
            "manifest unknown",
            "manifest for ",
            "repository does not exist",
        ],
        sentence: "Docker knows no such image, or may not fetch it",
        help: "check the image's name and tag; `docker login` where it is private",
    },
    Clue {
        code: "port_taken",
        marks: &["eaddrinuse", "address already in use"],
        sentence: "it wants to listen on a port that somebody else has",
        help: "end the other; or, if it is to speak on its stdin and stdout, give it the option \
               for that instead of the one for HTTP",
    },
    Clue {
        code: "out_of_memory",
        marks: &[
            "heap out of memory",
            "memoryerror",
            "std::bad_alloc",
            "cannot allocate memory",
            "out of memory",
        ],
        sentence: "it ran out of memory",
        help: "give it more: the limit of its container, or Node's `--max-old-space-size`",
    },
    Clue {
        code: "disk_full",
        marks: &["enospc", "no space left on device"],
        sentence: "the disk is full",
        help: "make room where it writes: its cache, or TMPDIR",
    },
    Clue {
        code: "library_missing",
        marks: &["error while loading shared libraries", "version `glibc_", "library not loaded"],
        sentence: "a library of the system is missing, or too old for it",
        help: "install it, or take a build of the server for this system",
    },
    Clue {
        code: "runtime_version",
        marks: &[
            "ebadengine",
            "unsupported engine",
            "requires node",
            "requires-python",
            "requires a different python",
            "err_require_esm",
            "err_unknown_file_extension",
            "cannot use import statement outside a module",
            "syntaxerror:",
        ],
        sentence: "it does not run on this version of Node or Python, or not without being built",
        help: "install the version that it asks for; point the command at what its build made, not \
               at its source",
    },
    Clue {
        code: "program_missing",
        marks: &["command not found", ": not found", "env: node:", "env: ‘", "env: '"],
        sentence: "a program that its start script runs is not on the PATH of the child",
        help: "install it, or set PATH in the spec's environment: the child gets the host's, which \
               need not be that of your terminal",
    },
    Clue {
        code: "certificate_refused",
        marks: &[
            "self-signed certificate",
            "self signed certificate",
            "unable to get local issuer certificate",
            "certificate_verify_failed",
            "certificate has expired",
            "unable to verify the first certificate",
        ],
        sentence: "it does not trust the certificate of a service that it needs",
        help: "pass the root on to it: NODE_EXTRA_CA_CERTS, SSL_CERT_FILE or REQUESTS_CA_BUNDLE in \
               the spec's environment",
    },
    Clue {
        code: "key_refused",
        marks: &[
            "invalid api key",
            "invalid_api_key",
            "incorrect api key",
            "invalid x-api-key",
            "authentication_error",
            "bad credentials",
            "invalid_auth",
            "401 unauthorized",
            "status code 401",
        ],
        sentence: "a service behind it does not accept its key",
        help: "renew the key, and check that the right one reaches the child",
    },
    Clue {
        code: "service_unreachable",
        marks: &[
            "econnrefused",
            "connection refused",
            "getaddrinfo",
            "name or service not known",
            "temporary failure in name resolution",
            "nodename nor servname",
        ],
        sentence: "a service that it needs was not reached",
        help: "check that the service runs, and its address; a proxy's variables reach the child \
               only if the spec passes them on by `env`",
    },
    Clue {
        code: "permission_denied",
        marks: &["permission denied", "eacces", "operation not permitted", "permissionerror"],
        sentence: "it may not do what it wants to do",
        help: "check the owner and the mode of what it names, for the user that runs the host",
    },
    Clue {
        code: "file_missing",
        marks: &[
            "no such file or directory",
            "enoent",
            "can't open file",
            "filenotfounderror",
            "does not exist",
        ],
        sentence: "a file or folder that it was told of is not there",
        help: "give full paths: relative ones begin at the spec's `cwd`, `~` and `$HOME` are not \
               expanded, for no shell is between",
    },
    Clue {
        code: "crashed",
        marks: &[
            "panicked at",
            "unhandled exception",
            "uncaught",
            "unhandledpromiserejection",
            "traceback (most recent call last)",
            "goroutine 1 [",
        ],
        sentence: "it crashed by a defect of its own",
        help: "what it said last may be known to its makers",
    },
];
