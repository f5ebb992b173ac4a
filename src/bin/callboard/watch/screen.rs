//! The live view on a terminal.

use std::{
    io,
    pin::Pin,
    time::{Duration, SystemTime},
};

use callboard::{Phase, ServerSnapshot};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_core::Stream as _;
use indicatif::HumanBytes;
use ratatui::{
    DefaultTerminal, Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line as Text, Span},
    widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState, Wrap},
};

use super::model::{Kind, Line, Model, clock};
use crate::bench::picture::time;

/// From this width on there is room for more columns.
const WIDE: u16 = 120;

/// What the person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Move(isize),
    Restart,
    Close,
    Interrupt,
    Redraw,
}

/// The screen, until it is dropped.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    keys: EventStream,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { terminal: ratatui::try_init()?, keys: EventStream::new() })
    }

    pub(super) fn show(&mut self, model: &Model) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, model)).map(drop)
    }

    /// The next thing that the person wants.
    pub(super) async fn wish(&mut self) -> Wish {
        loop {
            let event = std::future::poll_fn(|cx| Pin::new(&mut self.keys).poll_next(cx)).await;
            match event {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    if let Some(wish) = meant(key) {
                        return wish;
                    }
                }
                Some(Ok(Event::Resize(..))) => return Wish::Redraw,
                Some(Ok(_)) => {}
                // There is no keyboard any more.
                Some(Err(_)) | None => return Wish::Close,
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn meant(key: KeyEvent) -> Option<Wish> {
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Wish::Interrupt)
        }
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Close),
        KeyCode::Char('r') => Some(Wish::Restart),
        KeyCode::Up | KeyCode::Char('k') => Some(Wish::Move(-1)),
        KeyCode::Down | KeyCode::Char('j') => Some(Wish::Move(1)),
        _ => None,
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    let servers = u16::try_from(model.servers.len()).unwrap_or(u16::MAX).saturating_add(1);
    let rows = [
        Constraint::Length(1),
        // The table may have half of the screen.
        Constraint::Length(servers.min(area.height / 2)),
        Constraint::Length(if area.height < 30 { 4 } else { 6 }),
        Constraint::Min(1),
        Constraint::Length(1),
    ];
    let [head, table, detail, lines, foot] = Layout::vertical(rows).areas(area);
    frame.render_widget(title(model), head);
    show_table(frame, model, table);
    frame.render_widget(details(model), detail);
    show_lines(frame, model, lines);
    let keys = " ↑↓ select   r restart   q close";
    frame.render_widget(Paragraph::new(keys).style(Style::new().add_modifier(Modifier::DIM)), foot);
}

fn title(model: &Model) -> Paragraph<'static> {
    let text = format!(
        " callboard watch   {} of {} servers ready   {}",
        model.ready(),
        model.servers.len(),
        clock(model.uptime())
    );
    Paragraph::new(text).style(Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED))
}

fn show_table(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let wide = area.width >= WIDE;
    let mut headings = vec!["SERVER", "STATUS", "EPOCH", "PID", "RESTARTS", "IN FLIGHT", "LATENCY"];
    let longest = model.servers.iter().map(|server| server.name.chars().count()).max();
    let longest = u16::try_from(longest.unwrap_or_default()).unwrap_or(u16::MAX);
    let name = longest.clamp(6, if wide { 40 } else { 22 });
    let mut widths: Vec<_> = [name, 13, 5, 8, 8, 9, 8].map(Constraint::Length).to_vec();
    if wide {
        headings.extend(["FOR", "TRANSPORT", "MCP", "CALLS", "LAST ERROR"]);
        widths.extend([8, 15, 10, 7].map(Constraint::Length));
        widths.push(Constraint::Min(20));
    }
    let rows = model.servers.iter().map(|server| row(model, server, wide));
    let header = Row::new(headings).style(Style::new().add_modifier(Modifier::BOLD));
    let table = Table::new(rows, widths)
        .header(header)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(Some(model.selected));
    frame.render_stateful_widget(table, area, &mut state);
}

fn row(model: &Model, server: &ServerSnapshot, wide: bool) -> Row<'static> {
    let pid = server.pid.map(|pid| pid.to_string()).unwrap_or_default();
    let latency = model.latency(server).map(time).unwrap_or_default();
    let mut cells = vec![
        Cell::from(server.name.clone()),
        Cell::from(server.phase.to_string()).style(Style::new().fg(colour(server.phase))),
        Cell::from(server.epoch.to_string()),
        Cell::from(pid),
        Cell::from(server.restarts.to_string()),
        Cell::from(server.traffic.in_flight.to_string()),
        Cell::from(latency),
    ];
    if wide {
        let transport = server.transport.map(|transport| transport.to_string());
        cells.extend([
            Cell::from(clock(since(model, server.since))),
            Cell::from(transport.unwrap_or_default()),
            Cell::from(server.protocol_version.clone().unwrap_or_default()),
            Cell::from(server.usage.calls.started.to_string()),
            Cell::from(first_line(server)),
        ]);
    }
    Row::new(cells)
}

fn since(model: &Model, time: SystemTime) -> Duration {
    model.taken_at.duration_since(time).unwrap_or_default()
}

fn first_line(server: &ServerSnapshot) -> String {
    let error = server.last_error.as_deref().unwrap_or_default();
    error.lines().next().unwrap_or_default().to_owned()
}

fn colour(phase: Phase) -> Color {
    match phase {
        Phase::Ready => Color::Green,
        Phase::Starting | Phase::BackingOff | Phase::AuthRequired => Color::Yellow,
        Phase::Failed => Color::Red,
        _ => Color::DarkGray,
    }
}

fn details(model: &Model) -> Paragraph<'static> {
    let Some(server) = model.selected() else { return Paragraph::new("") };
    let for_ = clock(since(model, server.since));
    let (calls, latency) = (server.usage.calls, server.usage.latency);
    let mut text = format!(
        "{} for {for_}, {} calls, {} failed, {} out, {} in",
        server.phase,
        calls.started,
        calls.failed + calls.tool_errors,
        HumanBytes(server.traffic.bytes_sent),
        HumanBytes(server.traffic.bytes_received),
    );
    if !latency.max.is_zero() {
        text += &format!(", p50 {}, p99 {}", time(latency.p50), time(latency.p99));
    }
    let mut lines = vec![Text::from(text)];
    if let Some(error) = &server.last_error {
        let text =
            format!("last error: {}", error.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.push(Text::from(Span::styled(text, Style::new().fg(Color::Red))));
    }
    let block = Block::new().borders(Borders::TOP).title(format!(" {} ", server.name));
    Paragraph::new(lines).wrap(Wrap { trim: true }).block(block)
}

fn show_lines(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let block = Block::new().borders(Borders::TOP).title(" log ");
    let room = usize::from(area.height.saturating_sub(1));
    let last = model.lines.iter().skip(model.lines.len().saturating_sub(room));
    let lines: Vec<_> = last.map(line).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn line(line: &Line) -> Text<'static> {
    let Line { at, server, kind, text } = line;
    let faint = Style::new().add_modifier(Modifier::DIM);
    let style = match kind {
        Kind::Status => Style::new().add_modifier(Modifier::BOLD),
        Kind::Stderr | Kind::Log | Kind::Note => Style::new(),
    };
    Text::from(vec![
        Span::styled(format!("{} {:<6} ", clock(*at), kind.as_str()), faint),
        Span::styled(format!("{server}: {text}"), style),
    ])
}

#[cfg(test)]
mod tests;
