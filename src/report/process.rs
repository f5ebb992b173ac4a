//! What the end of a process, or its failure to start, means.

use std::{io, time::Duration};

use super::{
    Diagnosis, Exit,
    clues::{self, Said},
};
use crate::error::DownCause;

const NOTHING: Said<'_> = Said { stderr: &[], record: &[] };

/// What ended a process, given what it said last.
pub(super) fn ended(exit: Exit, said: Said<'_>, starting: bool) -> Option<Diagnosis> {
    let banner = || said.banner().filter(|_| starting);
    match exit {
        Exit::Signal(signal) => killed(signal, said),
        Exit::Code(code) => said.meant().or_else(banner).or_else(|| coded(code, starting)),
    }
}

fn killed(signal: i32, said: Said<'_>) -> Option<Diagnosis> {
    Some(match signal {
        9 => Diagnosis::new(
            "killed",
            "somebody killed it: mostly that is the kernel, or a container's limit, for want of \
             memory",
            "look for it in the kernel's log (`dmesg`); give it more memory, or less to do",
        ),
        4 | 6 | 7 | 8 | 11 => said.meant().unwrap_or_else(|| {
            Diagnosis::new(
                "crashed",
                "it crashed by a defect in native code",
                "update it, and the runtime that it runs on; a core dump says where",
            )
        }),
        1 | 2 | 15 => Diagnosis::new(
            "terminated",
            "somebody told it to end: an operator, a supervisor, or a wrapper around it",
            "find out who; the restart policy starts it again",
        ),
        _ => return said.meant(),
    })
}

/// The codes that shells and Docker give (POSIX, Shell Command Language, 2.8.2), and Windows.
fn coded(code: i32, starting: bool) -> Option<Diagnosis> {
    /// `STATUS_CONTROL_C_EXIT`
    const INTERRUPTED: i32 = 0xC000_013A_u32.cast_signed();
    Some(match code {
        0 if starting => Diagnosis::new(
            "ended_at_once",
            "it did what it had to do and ended, as programs do that are no servers, want a \
             terminal, or go into the background",
            "check that the command is that of the server, with what makes it serve on its stdin \
             and stdout",
        ),
        0 => Diagnosis::new(
            "ended_by_itself",
            "it thought that it was done",
            "the restart policy starts it again; RestartPolicy::always counts this as no failure",
        ),
        125 => Diagnosis::new(
            "docker_refused",
            "Docker itself refused to run the container",
            "run the same command in a terminal",
        ),
        126 => Diagnosis::new(
            "not_executable",
            "a program that its start script runs may not be executed",
            "give it the mode for that (`chmod +x`)",
        ),
        127 => Diagnosis::new(
            "program_missing",
            "a program that its start script runs is not on the PATH of the child",
            "install it, or set PATH in the spec's environment",
        ),
        137 => return killed(9, NOTHING),
        139 => return killed(11, NOTHING),
        143 => return killed(15, NOTHING),
        INTERRUPTED => return killed(15, NOTHING),
        _ if DownCause::is_exception(code) => return killed(11, NOTHING),
        _ => return None,
    })
}

/// What a system calls the reasons for which it starts nothing: `errno`.
#[cfg(unix)]
mod refusal {
    /// `ENOEXEC`
    pub(super) const NO_PROGRAM: i32 = 8;
    /// `E2BIG`
    pub(super) const ARGUMENTS_TOO_LONG: i32 = 7;
    /// `EAGAIN`, `ENOMEM`
    pub(super) const EXHAUSTED: [i32; 2] = [11, 12];
    /// `ENFILE`, `EMFILE`
    pub(super) const NO_DESCRIPTOR: [i32; 2] = [23, 24];
}

/// The same on Windows, whose numbers are others (System Error Codes).
#[cfg(windows)]
mod refusal {
    /// `ERROR_BAD_EXE_FORMAT`
    pub(super) const NO_PROGRAM: i32 = 193;
    /// `ERROR_FILENAME_EXCED_RANGE`, also of a command line
    pub(super) const ARGUMENTS_TOO_LONG: i32 = 206;
    /// `ERROR_NOT_ENOUGH_MEMORY`, `ERROR_OUTOFMEMORY`, `ERROR_COMMITMENT_LIMIT`
    pub(super) const EXHAUSTED: [i32; 3] = [8, 14, 1455];
    /// `ERROR_TOO_MANY_OPEN_FILES`
    pub(super) const NO_DESCRIPTOR: [i32; 1] = [4];
}

/// What kept a process from being started.
pub(super) fn unstarted(error: &io::Error) -> Option<Diagnosis> {
    use refusal::{ARGUMENTS_TOO_LONG, EXHAUSTED, NO_DESCRIPTOR, NO_PROGRAM};
    Some(match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::PermissionDenied, _) => Diagnosis::new(
            "not_executable",
            "the user that runs the host may not execute it, or may not enter the working directory",
            "give it the mode for that (`chmod +x`); a file system may be mounted `noexec`",
        ),
        (io::ErrorKind::NotFound, _) => Diagnosis::new(
            "interpreter_missing",
            "the program is there, but not the interpreter that its first line names",
            "install that interpreter, or put it in front: `Stdio::new(\"python3\").arg(path)`",
        ),
        (_, Some(NO_PROGRAM)) => Diagnosis::new(
            "exec_format",
            "it is neither a program of this kind of machine nor a script with `#!` in its first line",
            "take the build for this machine; give a script its first line, or put its interpreter \
             in front",
        ),
        (_, Some(ARGUMENTS_TOO_LONG)) => Diagnosis::new(
            "arguments_too_long",
            "its arguments and environment are longer than the system takes",
            "hand what is large over by a file",
        ),
        (_, Some(code)) if EXHAUSTED.contains(&code) => Diagnosis::new(
            "system_exhausted",
            "the system has no process or memory left for it",
            "raise the limit (`ulimit -u`, the container's pids limit), or run fewer servers",
        ),
        (_, Some(code)) if NO_DESCRIPTOR.contains(&code) => Diagnosis::new(
            "descriptors_exhausted",
            "the host has as many files open as it may",
            "raise its limit (`ulimit -n`)",
        ),
        _ => return None,
    })
}

/// What it means that a started process does not answer the handshake.
pub(super) fn silent(after: Duration, said: Said<'_>, command: &str) -> Diagnosis {
    let noise = said.noise();
    let installer = command.rsplit('/').next().filter(|name| {
        ["npx", "npm", "pnpm", "bunx", "uvx", "uv", "pipx", "docker", "podman"].contains(name)
    });
    let address = clues::http_address(said.stderr).or_else(|| clues::http_address(&noise));
    if let Some(line) = address {
        return Diagnosis::new(
            "serves_http",
            format!(
                "it serves HTTP, and nothing on its stdin and stdout ({})",
                clues::quoted(line)
            ),
            "declare it as StreamableHttp with that URL, or give it the option for stdio",
        );
    }
    // Once it says something of its own, it is no longer the installer that is waited for.
    let installer = installer.filter(|_| noise.is_empty());
    if installer.is_some() || clues::is_installing(said.stderr) {
        let name = installer.unwrap_or("its package manager");
        return Diagnosis::new(
            "still_installing",
            format!("{name} fetches the package first, and was not done after {after:?}"),
            "raise `init_timeout`, or run the command once beforehand so that the package is there",
        );
    }
    said.meant().or_else(|| said.banner()).unwrap_or_else(|| {
        Diagnosis::new(
            "silent",
            "it runs, but does not speak MCP on its stdin and stdout, or takes long to start",
            "check that the command is that of the server, with what makes it serve on its stdin \
             and stdout; raise `init_timeout` if it is slow",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(diagnosis: Option<Diagnosis>) -> &'static str {
        diagnosis.and_then(|one| one.cause).map_or("", |cause| cause.code)
    }

    #[test]
    fn ends_of_processes_are_understood() {
        for (exit, starting, meant) in [
            (Exit::Signal(9), false, "killed"),
            (Exit::Signal(11), true, "crashed"),
            (Exit::Signal(15), false, "terminated"),
            (Exit::Signal(13), false, ""),
            (Exit::Code(0), true, "ended_at_once"),
            (Exit::Code(0), false, "ended_by_itself"),
            (Exit::Code(1), true, ""),
            (Exit::Code(127), true, "program_missing"),
            (Exit::Code(137), false, "killed"),
            (Exit::Code(-1), false, ""),
            (Exit::Code(0xC000_0005_u32.cast_signed()), false, "crashed"),
            (Exit::Code(0xC000_013A_u32.cast_signed()), false, "terminated"),
        ] {
            assert_eq!(code(ended(exit, NOTHING, starting)), meant, "{exit:?}");
        }
        let heap = ["FATAL ERROR: JavaScript heap out of memory".to_owned()];
        let said = Said { stderr: &heap, record: &[] };
        assert_eq!(code(ended(Exit::Signal(6), said, false)), "out_of_memory");
    }

    #[cfg(unix)]
    #[test]
    fn what_kept_a_process_from_starting_is_understood() {
        for (error, meant) in [
            (13, "not_executable"),
            (2, "interpreter_missing"),
            (8, "exec_format"),
            (24, "descriptors_exhausted"),
            (11, "system_exhausted"),
            (7, "arguments_too_long"),
            (5, ""),
        ] {
            assert_eq!(code(unstarted(&io::Error::from_raw_os_error(error))), meant, "{error}");
        }
    }

    #[test]
    fn silence_is_told_apart() {
        let silent = |stderr: &[&str], command| {
            let stderr: Vec<String> = stderr.iter().map(|&line| line.to_owned()).collect();
            let said = Said { stderr: &stderr, record: &[] };
            code(Some(silent(Duration::from_secs(30), said, command)))
        };
        assert_eq!(silent(&["Server running on http://localhost:3000/mcp"], "node"), "serves_http");
        assert_eq!(silent(&[], "/usr/bin/npx"), "still_installing");
        assert_eq!(silent(&[" Downloading torch (200MB)"], ""), "still_installing");
        assert_eq!(silent(&["X_TOKEN is required"], "node"), "variable_missing");
        assert_eq!(silent(&[], "cat"), "silent");
    }
}
